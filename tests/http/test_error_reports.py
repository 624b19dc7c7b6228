"""The mails of Django's AdminEmailHandler: an error in a project's code shows no secret."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from django import VERSION
from django.conf import settings as current
from django.contrib.auth import user_logged_in
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.base_user import AbstractBaseUser
from django.core import mail
from django.db import OperationalError
from django.dispatch import Signal
from django.http import HttpResponse
from django.utils.log import AdminEmailHandler
from django.views.debug import (
    SafeExceptionReporterFilter,
    get_default_exception_reporter_filter,
)
from pytest_django import Settings

from jwt_auth import flows, signals
from jwt_auth.models import ConfirmedAddress
from tests.flows.scene import BROWSER
from tests.http.site import MOBILE, Session, Site

NEW_PASSWORD = "another staple, another horse"
REFRESH_COOKIE = "sid2"  # nothing in the name tells Django that it is a secret


class Fault(Exception):
    """What the project's code raises."""


def fail(*given: Any, **named: Any) -> Any:
    """Stand for any of the project's receivers and callables; the locals are as theirs would be."""
    raise Fault


class FailingBackend(ModelBackend):
    """An authentication backend whose directory is away."""

    error: Exception = Fault()

    def authenticate(
        self, request: Any, username: Any = None, password: Any = None, **named: Any
    ) -> Any:
        """Fail where the password is a local variable."""
        raise self.error


class BackendWithoutDatabase(FailingBackend):
    """An authentication backend whose database is away."""

    error = OperationalError("the server closed the connection")


class FailingMiddleware:
    """Fails after the view, with the form in a local variable."""

    def __init__(self, get_response: Callable[[Any], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> HttpResponse:
        """Keep what a middleware may look at."""
        form, cookies = request.POST, request.COOKIES
        response = self.get_response(request)
        text = response.content.decode()
        raise Fault(len(form), len(cookies), len(text))


@pytest.fixture
def site(db: None) -> Site:
    """A client that is answered 500, as over the network."""
    return Site(raise_request_exception=False)


@pytest.fixture
def kept_filter() -> Iterator[Any]:
    """What Django reads from DEFAULT_EXCEPTION_REPORTER_FILTER but once."""
    kept: Any = get_default_exception_reporter_filter
    yield kept
    kept.cache_clear()


@pytest.fixture(autouse=True)
def _mails(settings: Settings) -> Iterator[None]:
    # Django 6.0 took to addresses alone.
    settings.ADMINS = ["a@example.com"] if VERSION >= (6, 0) else [("Admin", "a@example.com")]
    handlers = [AdminEmailHandler(include_html=include_html) for include_html in (False, True)]
    loggers = [logging.getLogger(name) for name in ("django", "jwt_auth")]
    for handler in handlers:
        handler.setLevel(logging.ERROR)
        for logger in loggers:
            logger.addHandler(handler)
    yield
    for handler in handlers:
        for logger in loggers:
            logger.removeHandler(handler)


def _mailed() -> str:
    messages: list[Any] = mail.outbox
    html = [content for message in messages for content, _ in message.alternatives]
    assert html
    return "\n".join([*(message.body for message in messages), *html])


Request = Callable[[Site, Session, dict[str, str]], Any]

REQUESTS: dict[str, Request] = {
    "form login": lambda site, session, who: site.post("login/", who, format="multipart"),
    "urlencoded login": lambda site, session, who: site.post(
        "login/",
        "&".join(f"{name}={value}" for name, value in who.items()),
        content_type="application/x-www-form-urlencoded",
    ),
    "JSON login": lambda site, session, who: site.post("login/", who),
    "refresh": lambda site, session, who: site.post("refresh/", headers=session.cookie),
    "refresh in the body": lambda site, session, who: site.post(
        f"{MOBILE}refresh/", {"refresh_token": session.refresh_token}
    ),
    "password change": lambda site, session, who: site.post(
        "password/change/",
        {"old_password": who["password"], "new_password": NEW_PASSWORD},
        headers=session.bearer,
    ),
}


def _assert_hidden(session: Session, credentials: dict[str, str]) -> None:
    text = _mailed()
    secrets = (
        *(credentials["password"], credentials["password"].replace(" ", "+"), NEW_PASSWORD),
        *(session.refresh_token, session.access_token, session.access_token.split(".")[2]),
    )
    assert [secret for secret in secrets if secret in text] == []


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize("path", ["JWT_AUTH_CLAIMS", "JWT_AUTH_ROLES"])
def test_error_in_a_callable_shows_no_secret(
    request_: Request,
    path: str,
    site: Site,
    session: Session,
    credentials: dict[str, str],
    settings: Settings,
) -> None:
    """It is called with the user, several frames below the password."""
    setattr(settings, path, f"{__name__}.fail")
    assert request_(site, session, credentials).status_code == 500
    assert "Fault" in _mailed()
    _assert_hidden(session, credentials)


@pytest.mark.parametrize(
    ("name", "failing", "status"),
    [
        *product(["form login", "urlencoded login", "JSON login"], [[user_logged_in]], [500]),
        *product(REQUESTS, [[signals.session_opened, signals.session_refreshed]], [200]),
    ],
)
def test_error_in_a_receiver_shows_no_secret(
    name: str,
    failing: list[Signal],
    status: int,
    site: Site,
    session: Session,
    credentials: dict[str, str],
) -> None:
    """Those of Django's signal end the request. Those of ours are logged by Django, and mailed
    without the request.
    """
    for signal in failing:
        signal.connect(fail)
    try:
        assert REQUESTS[name](site, session, credentials).status_code == status
    finally:
        for signal in failing:
            signal.disconnect(fail)
    _assert_hidden(session, credentials)


@pytest.mark.parametrize(
    ("backend", "status"), [("FailingBackend", 500), ("BackendWithoutDatabase", 503)]
)
def test_error_in_an_authentication_backend_shows_no_secret(
    backend: str,
    status: int,
    site: Site,
    session: Session,
    credentials: dict[str, str],
    settings: Settings,
) -> None:
    """Django's ``authenticate()`` hides the credentials in its own frame only. The database's error
    is logged by us, for an answer of 503.
    """
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.{backend}"]
    assert site.post("login/", credentials).status_code == status
    _assert_hidden(session, credentials)


@pytest.mark.parametrize("name", REQUESTS)
def test_error_in_a_middleware_shows_no_secret(
    name: str, session: Session, credentials: dict[str, str], settings: Settings
) -> None:
    """Its frames have the form, the cookies and the answer's tokens."""
    settings.MIDDLEWARE = [*current.MIDDLEWARE, f"{__name__}.FailingMiddleware"]
    site = Site(raise_request_exception=False)  # a handler has the middlewares of its first request
    assert REQUESTS[name](site, session, credentials).status_code == 500
    _assert_hidden(session, credentials)


def test_cookie_of_any_name_is_hidden(
    site: Site, credentials: dict[str, str], settings: Settings
) -> None:
    """By itself Django hides those only whose names look like it."""
    settings.JWT_AUTH_REFRESH_COOKIE_NAME = REFRESH_COOKIE
    token = site.post("login/", credentials).cookies[REFRESH_COOKIE].value
    settings.JWT_AUTH_CLAIMS = f"{__name__}.fail"
    assert site.post("refresh/").status_code == 500
    text = _mailed()
    assert REFRESH_COOKIE in text
    assert token not in text


def test_503_shows_no_secret(
    site: Site, session: Session, credentials: dict[str, str], settings: Settings
) -> None:
    """Django mails those, too, though nothing was raised."""
    settings.JWT_AUTH_KEY_STORE = {
        "BACKEND": "jwt_auth.keys.stores.file.FileKeyStore",
        "OPTIONS": {"PATH": "/nonexistent"},
    }
    assert REQUESTS["form login"](site, session, credentials).status_code == 503
    _assert_hidden(session, credentials)


def test_bearer_token_is_hidden_in_a_projects_own_view(
    site: Site, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails below the authentication class."""
    monkeypatch.setattr("jwt_auth.flows.bearer.get_backend", fail)
    assert site.get("/api/hello/", headers=session.bearer).status_code == 500
    text = _mailed()
    assert session.access_token not in text
    assert session.access_token.split(".")[2] not in text


FLOWS: dict[str, Callable[[Any, Session, str], object]] = {
    "log_in": lambda user, session, password: flows.log_in(
        user, client=BROWSER, now=datetime.now(UTC), password=password
    ),
    "refresh": lambda user, session, password: flows.refresh(
        session.refresh_token, retry_key=None, client=BROWSER, now=datetime.now(UTC)
    ),
    "log_out": lambda user, session, password: flows.log_out(
        refresh_tokens=[session.refresh_token],
        access_token=session.access_token,
        client=BROWSER,
        now=datetime.now(UTC),
    ),
    "change_password": lambda user, session, password: flows.change_password(
        user,
        old_password=password,
        new_password=NEW_PASSWORD,
        client=BROWSER,
        now=datetime.now(UTC),
    ),
}


@pytest.mark.parametrize("call", FLOWS.values(), ids=FLOWS)
def test_error_in_a_flow_that_a_project_calls_shows_no_secret(
    call: Callable[[Any, Session, str], object],
    session: Session,
    user: AbstractBaseUser,
    credentials: dict[str, str],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing around the call hides what it is given, as our views do."""
    settings.JWT_AUTH_CLAIMS = f"{__name__}.fail"
    monkeypatch.setattr("jwt_auth.revocation.revoking.get_backend", fail)
    with pytest.raises(Fault) as raised:
        call(user, session, credentials["password"])
    frames: Any = raised.tb
    while frames.tb_frame.f_code.co_filename == __file__:  # the project has to hide its own
        frames = frames.tb_next
    logging.getLogger("django.request").error("500", exc_info=(raised.type, raised.value, frames))
    assert "Fault" in _mailed()
    _assert_hidden(session, credentials)


class FailingValidator:
    """A validator of passwords whose list can't be read, several frames below the token."""

    def validate(self, password: str, user: Any = None) -> None:
        """Fail where the new password is a local variable."""
        raise Fault

    def get_help_text(self) -> str:
        return ""


@pytest.mark.parametrize("format_", ["multipart", "json"])
@pytest.mark.parametrize("path", ["password/reset/confirm/", "email/confirm/"])
def test_error_in_the_use_of_a_one_time_token_shows_no_secret(
    path: str,
    format_: str,
    site: Site,
    session: Session,
    user: AbstractBaseUser,
    credentials: dict[str, str],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever reads the mail could use the token: the error has left it unused."""
    settings.AUTH_PASSWORD_VALIDATORS = [{"NAME": f"{__name__}.FailingValidator"}]
    monkeypatch.setattr(ConfirmedAddress.objects, "using", fail)
    purpose = "password_reset" if path.startswith("password") else "email_confirmation"
    token = flows.issue_one_time_token(
        user, purpose=purpose, lifetime=timedelta(hours=1), now=datetime.now(UTC)
    )
    body = {"token": token}
    if purpose == "password_reset":
        body["new_password"] = NEW_PASSWORD
    assert site.post(path, body, format=format_).status_code == 500
    text = _mailed()
    assert "Fault" in text
    assert [part for part in token.split(".") if part in text] == []
    _assert_hidden(session, credentials)


class Plain(SafeExceptionReporterFilter):
    """A project that wants to see everything."""

    cleansed_substitute = "<hidden>"

    def is_active(self, request: Any) -> bool:
        """Never hide."""
        return False


def test_projects_own_filter_is_kept(
    site: Site, session: Session, credentials: dict[str, str], settings: Settings, kept_filter: Any
) -> None:
    """It decides when to hide, and what is shown instead."""
    settings.DEFAULT_EXCEPTION_REPORTER_FILTER = f"{__name__}.Plain"
    kept_filter.cache_clear()
    settings.JWT_AUTH_CLAIMS = f"{__name__}.fail"
    assert REQUESTS["urlencoded login"](site, session, credentials).status_code == 500
    text = _mailed()
    assert credentials["password"] in text
    assert "&lt;hidden&gt;" in text
