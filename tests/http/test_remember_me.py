"""`remember_me` in POST login/, and what the client gets of the session's own lifetimes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpResponse
from django.test import RequestFactory
from pytest_django import Settings

from jwt_auth import sessions
from jwt_auth.models import RefreshTokenFamily
from tests.http.site import COOKIE, MOBILE, Site

pytestmark = [pytest.mark.smoke, pytest.mark.user_model]

DAY = 24 * 3600
FORM = "application/x-www-form-urlencoded"
NEW_PASSWORD = "another staple, another horse"


def choose(user: Any, *, remember_me: bool, client: Any) -> tuple[timedelta, timedelta]:
    """Decide as the project of these tests does."""
    return (timedelta(days=20), timedelta(days=40)) if remember_me else (timedelta(days=1),) * 2


def choose_nonsense(user: Any, *, remember_me: bool, client: Any) -> tuple[timedelta, timedelta]:
    """Return a lifetime that no session may have."""
    return timedelta(minutes=5), timedelta(days=1)


@pytest.fixture(autouse=True)
def _callable(settings: Settings) -> None:
    settings.JWT_AUTH_SESSION_LIFETIMES = f"{__name__}.choose"


def _max_age(answer: Any) -> int:
    return int(answer.cookies[COOKIE]["max-age"])


@pytest.mark.parametrize(
    ("given", "days"), [({}, 1), ({"remember_me": False}, 1), ({"remember_me": True}, 20)]
)
def test_cookie_lasts_as_long_as_its_token(
    site: Site, credentials: dict[str, str], given: dict[str, bool], days: int
) -> None:
    """From the login on, and again from each refresh on."""
    assert _max_age(site.post("login/", {**credentials, **given})) == days * DAY
    refreshed = _max_age(site.post("refresh/"))
    # A session of one day ends a day after its login.
    assert refreshed == days * DAY if days > 1 else DAY - 60 < refreshed <= DAY


@pytest.mark.parametrize(("word", "days"), [("true", 20), ("false", 1), ("", 1)])
def test_form_says_it_in_words(
    site: Site, credentials: dict[str, str], word: str, days: int
) -> None:
    """An empty field of a form is a missing one."""
    body = f"username={credentials['username']}&password=correct+horse+battery+staple"
    answer = site.post("login/", f"{body}&remember_me={word}", content_type=FORM)
    assert _max_age(answer) == days * DAY


@pytest.mark.parametrize("value", ["true", "false", "on", "", 1, 0, 1.0, None, [], [True], {}])
def test_json_takes_nothing_but_true_and_false(
    site: Site, credentials: dict[str, str], value: Any
) -> None:
    """A value that means something else must not prolong a session."""
    answer = site.post("login/", {**credentials, "remember_me": value})
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid"
    assert answer.json()["errors"].keys() == {"remember_me"}
    assert not RefreshTokenFamily.objects.exists()


@pytest.mark.parametrize("word", ["1", "on", "yes", "True", "TRUE", "+true", "0", "false%00"])
def test_form_takes_nothing_but_the_two_words(
    site: Site, credentials: dict[str, str], word: str
) -> None:
    body = f"username={credentials['username']}&password=correct+horse+battery+staple"
    answer = site.post("login/", f"{body}&remember_me={word}", content_type=FORM)
    assert answer.status_code == 400
    assert answer.json()["errors"].keys() == {"remember_me"}


@pytest.mark.parametrize("remember_me", [True, False])
def test_without_the_setting_it_has_no_effect(
    site: Site, credentials: dict[str, str], settings: Settings, remember_me: bool
) -> None:
    """A client may send it to any server, and a wrong value is a mistake anywhere."""
    settings.JWT_AUTH_SESSION_LIFETIMES = None
    answer = site.post("login/", {**credentials, "remember_me": remember_me})
    assert _max_age(answer) == 7 * DAY
    assert site.post("login/", {**credentials, "remember_me": 1}).status_code == 400


def test_client_without_a_cookie_jar_learns_the_lifetime(
    site: Site, credentials: dict[str, str]
) -> None:
    """In the body, at the login and at each refresh."""
    body = site.post(f"{MOBILE}login/", {**credentials, "remember_me": True}).json()
    assert body["refresh_expires_in"] == 20 * DAY
    body = site.post(f"{MOBILE}refresh/", {"refresh_token": body["refresh_token"]}).json()
    assert body["refresh_expires_in"] == 20 * DAY


@pytest.mark.parametrize("remember_me", [True, False])
def test_password_change_keeps_remembering(
    site: Site, credentials: dict[str, str], remember_me: bool
) -> None:
    """The new cookie lasts as long as the former one, counted from the change."""
    answer = site.post("login/", {**credentials, "remember_me": remember_me})
    bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    body = {"old_password": credentials["password"], "new_password": NEW_PASSWORD}
    changed = site.post("password/change/", body, headers=bearer)
    assert _max_age(changed) == (20 if remember_me else 1) * DAY
    session = RefreshTokenFamily.objects.get(revoked_at=None)
    assert session.absolute_expires_at - session.created_at == timedelta(
        days=40 if remember_me else 1
    )


def test_wrong_lifetimes_answer_503_and_tell_the_operator(
    site: Site, credentials: dict[str, str], settings: Settings, log: pytest.LogCaptureFixture
) -> None:
    """Nothing is opened, and the client learns nothing of the reason."""
    settings.JWT_AUTH_SESSION_LIFETIMES = f"{__name__}.choose_nonsense"
    answer = site.post("login/", {**credentials, "remember_me": True})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "LIFETIMES" not in answer.content.decode()
    assert not answer.cookies
    assert not RefreshTokenFamily.objects.exists()
    (message,) = [record.getMessage() for record in log.records if record.name == "jwt_auth"]
    assert message.startswith("LifetimesInvalid: JWT_AUTH_SESSION_LIFETIMES returned ")


@pytest.mark.parametrize("remember_me", [True, False])
def test_open_session_passes_it_on(user: AbstractBaseUser, remember_me: bool) -> None:
    """For a login through Django's own pages."""
    response = HttpResponse()
    request = RequestFactory().get("/")
    sessions.open_session(request, response, user, remember_me=remember_me)
    assert _max_age(response) == (20 if remember_me else 1) * DAY


@pytest.mark.parametrize("format", ["multipart", "json"])
def test_login_without_the_field_is_not_remembered(
    format: str,  # noqa: A002  # as the client calls it
    site: Site,
    credentials: dict[str, str],
) -> None:
    """The field is optional, in a form as in JSON."""
    assert site.post("login/", credentials, format=format).status_code == 200
