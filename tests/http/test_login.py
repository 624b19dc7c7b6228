"""POST login/."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model, user_logged_in, user_login_failed
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.dispatch import Signal
from django.http import HttpRequest
from pytest_django import Settings

from jwt_auth.models import RefreshTokenFamily
from tests.conftest import MakeUser
from tests.http.site import COOKIE, Site

pytestmark = [pytest.mark.sql, pytest.mark.user_model, pytest.mark.smoke]

MODEL = "django.contrib.auth.backends.ModelBackend"
ALLOW_ALL = "django.contrib.auth.backends.AllowAllUsersModelBackend"


@pytest.fixture
def heard() -> Iterator[list[tuple[Signal, dict[str, Any]]]]:
    """Django's own signals of a log-in, in order."""
    heard: list[tuple[Signal, dict[str, Any]]] = []

    def listen(signal: Signal, **named: Any) -> None:
        heard.append((signal, named))

    for signal in (user_logged_in, user_login_failed):
        signal.connect(listen)
    yield heard
    for signal in (user_logged_in, user_login_failed):
        signal.disconnect(listen)


def test_right_password_gives_token_response(site: Site, credentials: dict[str, str]) -> None:
    """The answer is RFC 6749's, may not be stored, and has the refresh token nowhere in it."""
    answer = site.post("login/", credentials)
    assert answer.status_code == 200
    assert answer.json().keys() == {"access_token", "token_type", "expires_in"}
    assert answer.json()["token_type"] == "Bearer"
    assert answer.json()["expires_in"] == 900
    assert answer["Cache-Control"] == "no-store"
    assert answer["Content-Type"] == "application/json"
    assert answer.cookies[COOKIE].value not in answer.content.decode()


def test_body_may_be_a_form(site: Site, user: AbstractBaseUser, password: str) -> None:
    """An HTML form's encoding works too, a plus sign and an umlaut in it."""
    user.set_password("a+b %ä")
    user.save()
    body = f"username={user.get_username()}&password=a%2Bb+%25%C3%A4"
    answer = site.post("login/", body, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 200


def test_password_is_taken_as_it_stands(site: Site, make_user: MakeUser) -> None:
    """Spaces at its ends belong to a password."""
    user = make_user(password=" spaced ")
    for text, expected in ((" spaced ", 200), ("spaced", 401)):
        answer = site.post("login/", {"username": user.get_username(), "password": text})
        assert answer.status_code == expected


@pytest.fixture
def attempt(case: str, make_user: MakeUser, password: str) -> dict[str, str]:
    """What is sent to log in; the parameter `case` says what is wrong with it."""
    user = make_user(is_active=case != "inactive")
    if case == "unusable":
        user.set_unusable_password()
        user.save()
    username = {"unknown": "nobody@example.com", "empty user name": " "}.get(case)
    return {
        "username": username or user.get_username(),
        "password": "wrong" if case == "wrong" else password,
    }


@pytest.mark.parametrize(
    ("case", "backends"),
    [
        ("unknown", [MODEL]),
        ("wrong", [MODEL]),
        ("inactive", [MODEL]),
        ("unusable", [MODEL]),
        ("empty user name", [MODEL]),
        ("inactive", [ALLOW_ALL]),
        ("good", ["tests.http.backends.LockedBackend", MODEL]),
    ],
)
def test_refused_credentials_get_one_answer(
    attempt: dict[str, str], backends: list[str], site: Site, settings: Settings
) -> None:
    """No answer tells whether the account exists, nor which backend of the project's objected."""
    settings.AUTHENTICATION_BACKENDS = backends
    answer = site.post("login/", attempt)
    assert answer.status_code == 401
    assert answer.json() == {
        "detail": "No active account has these credentials.",
        "code": "invalid_credentials",
    }
    assert answer["WWW-Authenticate"] == 'Bearer realm="api"'
    assert answer["Cache-Control"] == "no-store"
    assert not answer.cookies
    assert not RefreshTokenFamily.objects.exists()


@pytest.mark.parametrize("missing", ["username", "password"])
def test_missing_field_is_named(missing: str, site: Site, credentials: dict[str, str]) -> None:
    """A client's developer reads which field it was."""
    del credentials[missing]
    answer = site.post("login/", credentials)
    assert answer.status_code == 400
    assert answer.json() == {
        "detail": "The request is not valid.",
        "code": "invalid",
        "errors": {missing: ["This field is required."]},
    }


@pytest.mark.parametrize("as_form", [False, True])
@pytest.mark.parametrize("typed", ["alice@example.com", "nobody@example.com"])
def test_user_name_under_another_name_is_sent_to_the_right_one(
    typed: str, as_form: bool, site: Site, user: AbstractBaseUser, password: str
) -> None:
    """The field has one name with every user model; the answer doesn't depend on any user."""
    field = get_user_model().USERNAME_FIELD
    for name in {field, "email"} - {"username"}:
        body = {name: typed, "password": password}
        answer = site.post("login/", body, format="multipart" if as_form else "json")
        assert answer.status_code == 400
        assert answer.json()["errors"] == {"username": [f'Send the user\'s {field} as "username".']}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"username": None, "email": "a@example.com"}, "This field may not be null."),
        ({"username": "", "email": "a@example.com"}, "This field may not be blank."),
        ({"name": "alice"}, "This field is required."),
    ],
)
def test_other_bodies_without_a_user_name_keep_their_answer(
    body: dict[str, Any], reason: str, site: Site
) -> None:
    """Nothing is guessed, and nothing is kept from one request to the next."""
    site.post("login/", {"email": "a@example.com", "password": "x"})
    answer = site.post("login/", {**body, "password": "x"})
    assert answer.json()["errors"] == {"username": [reason]}


def test_success_is_told_once_and_dated(
    site: Site,
    user: AbstractBaseUser,
    credentials: dict[str, str],
    heard: list[tuple[Signal, dict[str, Any]]],
) -> None:
    """Django's signal goes out once, with the request, and last_login is written."""
    site.post("login/", credentials)
    ((signal, named),) = heard
    assert signal is user_logged_in
    assert named["user"] == user
    assert isinstance(named["request"], HttpRequest)
    user.refresh_from_db()
    assert user.last_login is not None


def test_failure_is_told_once(
    site: Site, credentials: dict[str, str], heard: list[tuple[Signal, dict[str, Any]]]
) -> None:
    """Django's signal goes out once, without the password."""
    site.post("login/", {**credentials, "password": "a wrong one"})
    ((signal, named),) = heard
    assert signal is user_login_failed
    assert "a wrong one" not in str(named)


def test_any_backend_is_asked_with_the_request(
    site: Site, user: AbstractBaseUser, settings: Settings
) -> None:
    """A project's own backend decides by the request, as in Django's own form."""
    settings.AUTHENTICATION_BACKENDS = ["tests.http.backends.HeaderBackend"]
    body = {"username": "whoever", "password": "whatever"}
    assert site.post("login/", body).status_code == 401
    answer = site.post("login/", body, headers={"X-Employee": "alice@example.com"})
    assert answer.status_code == 200


@pytest.mark.parametrize("backend", [MODEL, ALLOW_ALL])
@pytest.mark.parametrize("case", ["good", "unknown", "wrong", "inactive", "unusable"])
def test_every_login_costs_one_run_of_the_hasher(
    case: str,
    backend: str,
    real_password_hashers: None,  # before the user is made
    attempt: dict[str, str],
    site: Site,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The time that an answer takes tells nothing about the account (CVE-2024-39329)."""
    settings.AUTHENTICATION_BACKENDS = [backend]
    runs: list[str] = []

    def count(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any) -> Any:
            runs.append(name)
            return real(*given)

        return counted

    for name in ("encode", "verify"):
        real = getattr(Argon2PasswordHasher, name)
        monkeypatch.setattr(Argon2PasswordHasher, name, count(name, real))
    assert site.post("login/", attempt).status_code == (200 if case == "good" else 401)
    assert len(runs) == 1


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer x", "Bearer a b", "Bearer a,b", "Bearer \xff", "bearer ..", "Basic eDp5"],
)
def test_authorization_header_changes_nothing(
    header: str, site: Site, credentials: dict[str, str]
) -> None:
    """Whoever logs in has most often an expired token at hand; it is not looked at."""
    headers = {"Authorization": header}
    assert site.post("login/", credentials, headers=headers).status_code == 200
    assert site.post("refresh/", headers=headers).status_code == 200
    assert site.post("logout/", headers=headers).status_code == 204


@pytest.mark.parametrize("blank", ["", " "])
@pytest.mark.parametrize("typed", ["jos\u00e9", "jose\u0301"])
def test_user_name_is_compared_in_one_form(
    site: Site, make_user: MakeUser, password: str, typed: str, blank: str
) -> None:
    """A keyboard may compose a letter of two characters: as Django's own form, NFKC and trimmed."""
    user = make_user("jos\u00e9")
    name = blank + typed + user.get_username()[4:] + blank
    assert site.post("login/", {"username": name, "password": password}).status_code == 200
