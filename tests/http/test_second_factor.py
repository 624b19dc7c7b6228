"""The backend and the views of docs/how-to/second-factor.md, as they stand there."""

from __future__ import annotations

import runpy
import time
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.urls import include, path, re_path
from pytest_django import Settings

from tests.http.site import COOKIE, Site

_RECIPES = Path(__file__).parents[2] / "docs/how-to/recipes/second-factor"
_VIEWS = runpy.run_path(str(_RECIPES / "views.py"))
CaptchaBackend = runpy.run_path(str(_RECIPES / "backends.py"))["CaptchaBackend"]

#: The secret of RFC 6238's test vectors, "12345678901234567890".
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

urlpatterns = [
    path("again/", include("jwt_auth.urls", namespace="again")),
    re_path(r"^api/auth/login/?$", _VIEWS["LoginView"].as_view()),
    path("api/auth/login/code/", _VIEWS["CodeView"].as_view()),
    path("api/auth/", include("jwt_auth.urls")),
]


@pytest.fixture
def two_steps(settings: Settings) -> None:
    """The page's URLs: its login stands in front of the endpoint."""
    settings.ROOT_URLCONF = __name__


@pytest.fixture
def ticket(
    site: Site,
    credentials: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    two_steps: None,
) -> str:
    """What the first step gives a user who has an authenticator app."""
    monkeypatch.setattr(get_user_model(), "totp_secret", SECRET, raising=False)
    answer = site.post("login/", credentials)
    assert (answer.status_code, answer.cookies) == (202, {})
    assert answer["Cache-Control"] == "no-store"
    return str(answer.json()["ticket"])


def code() -> str:
    """The app's present code."""
    return str(_VIEWS["code_of"](SECRET, int(time.time() // 30)))


def wrong_code() -> str:
    """One that the app shows neither now nor around now."""
    present = int(time.time() // 30)
    shown = {_VIEWS["code_of"](SECRET, present + late) for late in range(-9, 10)}
    return next(text for number in range(99) if (text := f"{number:06}") not in shown)


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")],
)
def test_code_is_that_of_the_rfc(seconds: int, code: str) -> None:
    """The vectors of RFC 6238, appendix B, with six digits."""
    assert _VIEWS["find_time_step"](SECRET, code, now=seconds) == seconds // 30


def test_ticket_and_code_open_a_session(site: Site, ticket: str) -> None:
    """With the token response and the cookie that the endpoints give."""
    answer = site.post("login/code/", {"ticket": ticket, "code": code()})
    assert answer.cookies[COOKIE]["path"] == "/api/auth/"
    bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert site.get("me/", headers=bearer).status_code == 200
    assert site.post("refresh/").status_code == 200


def test_code_is_good_once(site: Site, ticket: str) -> None:
    """An onlooker who types it, too, is refused, whatever ticket they have (RFC 6238 §5.2)."""
    step = {"ticket": ticket, "code": code()}
    answers = [site.post("login/code/", step) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 401]
    assert answers[1].json()["code"] == "invalid_credentials"


@pytest.mark.parametrize("changed", ["ticket", "code"])
def test_wrong_ticket_or_code_opens_nothing(site: Site, ticket: str, changed: str) -> None:
    """The answer doesn't say which of them is wrong."""
    step = {"ticket": ticket, "code": code()} | {changed: wrong_code()}
    answer = site.post("login/code/", step)
    assert (answer.status_code, answer.cookies) == (401, {})


def test_codes_are_counted_by_user(site: Site, credentials: dict[str, str], ticket: str) -> None:
    """A new ticket doesn't buy new attempts, and the sixth is refused even with the right code."""
    for _ in range(5):
        site.post("login/code/", {"ticket": ticket, "code": wrong_code()})
    another = site.post("login/", credentials).json()["ticket"]
    answer = site.post("login/code/", {"ticket": another, "code": code()})
    assert (answer.status_code, answer["Retry-After"]) == (429, "300")


def test_ticket_ends_after_five_minutes(
    site: Site, ticket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ticket that is found later is useless."""
    later = time.time() + 301
    monkeypatch.setattr(time, "time", lambda: later)
    answer = site.post("login/code/", {"ticket": ticket, "code": code()})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")


def test_passwords_are_counted_by_name_and_by_address(site: Site, two_steps: None) -> None:
    """Each count stands for itself: a name that looks like an address is no address."""
    for _ in range(20):
        site.post("login/", {"username": "127.0.0.1", "password": "wrong"})
    for name, status in (("127.0.0.1", 429), ("Alicia", 401)):
        answer = site.post("login/", {"username": name, "password": "wrong"})
        assert answer.status_code == status
    for number in range(78):
        site.post("login/", {"username": f"name{number}", "password": "wrong"})
    assert site.post("login/", {"username": "new", "password": "wrong"}).status_code == 429


def test_ticket_ends_with_the_password(site: Site, user: AbstractBaseUser, ticket: str) -> None:
    """A change of the password between the steps undoes the first one."""
    user.set_password("another long password")
    user.save()
    assert site.post("login/code/", {"ticket": ticket, "code": code()}).status_code == 401


def test_user_without_an_app_logs_in_with_one_step(
    site: Site, credentials: dict[str, str], monkeypatch: pytest.MonkeyPatch, two_steps: None
) -> None:
    """And the wrong password is answered as the endpoint answers it."""
    monkeypatch.setattr(get_user_model(), "totp_secret", "", raising=False)
    assert "access_token" in site.post("login/", credentials).json()
    answer = site.post("login", credentials | {"password": "wrong"})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")


def test_form_of_another_site_is_refused(
    site: Site, credentials: dict[str, str], two_steps: None
) -> None:
    """A form can't send JSON, so nobody can be logged in without noticing it."""
    assert site.post("login/", credentials, format="multipart").status_code == 415


@pytest.mark.parametrize(("captcha", "status"), [("solved", 200), ("", 401)])
def test_captcha_is_asked_of_a_right_password_too(
    captcha: str, status: int, site: Site, credentials: dict[str, str], settings: Settings
) -> None:
    """The backend reads it from a header; the answer is the one for a wrong password."""
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.CaptchaBackend"]
    answer = site.post("login/", credentials, headers={"X-Captcha": captcha})
    assert answer.status_code == status


def test_captcha_is_asked_at_every_mount(
    site: Site, credentials: dict[str, str], settings: Settings, two_steps: None
) -> None:
    """A project names the namespaces."""
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.CaptchaBackend"]
    assert site.post("/again/login/", credentials).status_code == 401
    solved = {"X-Captcha": "solved"}
    assert site.post("/again/login/", credentials, headers=solved).status_code == 200
