"""The backend and the views of docs/how-to/second-factor.md, as they stand there."""

from __future__ import annotations

import runpy
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import connection
from django.urls import include, path, re_path
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice
from pytest_django import Settings

from jwt_auth.tokens import access
from tests.concurrency.threads import at_once
from tests.conftest import MakeUser
from tests.http.site import COOKIE, Site

_RECIPES = Path(__file__).parents[2] / "docs/how-to/recipes/second-factor"
_VIEWS = runpy.run_path(str(_RECIPES / "views.py"))
CaptchaBackend = runpy.run_path(str(_RECIPES / "backends.py"))["CaptchaBackend"]

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
def device(user: AbstractBaseUser) -> Any:
    """The authenticator app of the user's, with the secret of RFC 6238's test vectors."""
    key = b"12345678901234567890".hex()
    return TOTPDevice.objects.create(user=user, name="phone", key=key)


@pytest.fixture
def step(
    site: Site, credentials: dict[str, str], device: Any, two_steps: None
) -> Callable[..., dict[str, str]]:
    """Make the body of the second step, with what the first one gives a user who has a device."""
    answer = site.post("login/", credentials)
    assert (answer.status_code, answer.cookies) == (202, {})
    assert answer["Cache-Control"] == "no-store"
    assert answer.json()["devices"] == [{"id": device.persistent_id, "name": "phone"}]
    good = {"ticket": answer.json()["ticket"], "device": device.persistent_id}
    return lambda **changes: {**good, "code": code_of(device), **changes}


def code_of(device: Any) -> str:
    """What the app shows."""
    app = TOTP(device.bin_key)
    app.time = time.time()
    return f"{app.token():06}"


def wrong_code(device: Any) -> str:
    """One that the app shows neither now nor around now."""
    present = int(time.time() // 30)
    app = TOTP(device.bin_key)
    shown = {app.token() for app.time in range((present - 9) * 30, (present + 10) * 30, 30)}
    return next(f"{number:06}" for number in range(99) if number not in shown)


def claims_of(answer: Any) -> Mapping[str, Any]:
    """Read the claims of the token in an answer."""
    return access.verify(answer.json()["access_token"], now=datetime.now(UTC)).claims


def test_password_and_code_open_a_session_with_both_methods(
    site: Site, step: Callable[..., dict[str, str]]
) -> None:
    """With the token response and the cookie that the endpoints give, and every refresh says it."""
    answer = site.post("login/code/", step())
    assert answer.cookies[COOKIE]["path"] == "/api/auth/"
    bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert site.get("me/", headers=bearer).status_code == 200
    refreshed = site.post("refresh/")
    for each in (answer, refreshed):
        assert claims_of(each)["amr"] == ["pwd", "otp"]
    assert claims_of(refreshed)["auth_time"] == claims_of(answer)["auth_time"]


def test_second_factor_outlives_a_password_change(
    site: Site, step: Callable[..., dict[str, str]], password: str
) -> None:
    """The new session is of the same user at the same device, who isn't asked for a code again."""
    opened = site.post("login/code/", step())
    bearer = {"Authorization": f"Bearer {opened.json()['access_token']}"}
    body = {"old_password": password, "new_password": "another long horse"}
    changed = site.post("password/change/", body, headers=bearer)
    assert changed.status_code == 200
    for each in (changed, site.post("refresh/")):
        assert claims_of(each)["amr"] == ["pwd", "otp"]
        assert claims_of(each)["auth_time"] == claims_of(opened)["auth_time"]
        assert claims_of(each)["sid"] != claims_of(opened)["sid"]


def test_recovery_code_is_good_once(
    site: Site, step: Callable[..., dict[str, str]], user: AbstractBaseUser
) -> None:
    """A user who has lost the app has django-otp's static codes."""
    codes = StaticDevice.objects.create(user=user, name="codes")
    text = StaticToken.random_token()
    codes.token_set.create(token=text)
    body = step(device=codes.persistent_id, code=text)
    answers = [site.post("login/code/", body) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 401]


def test_code_is_good_once(site: Site, step: Callable[..., dict[str, str]]) -> None:
    """An onlooker who types it, too, is refused, whatever ticket they have (RFC 6238 §5.2)."""
    body = step()
    answers = [site.post("login/code/", body) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 401]
    assert answers[1].json()["code"] == "invalid_credentials"


@pytest.mark.django_db(transaction=True)
@pytest.mark.sql
def test_code_that_is_sent_several_times_at_once_is_good_once(
    step: Callable[..., dict[str, str]],
) -> None:
    """django-otp locks the device's row. SQLite has no such lock, and can refuse all but one."""
    body = step()
    answers = at_once([partial(Site().post, "login/code/", body)] * 4)
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses[0] == 200
    assert set(statuses[1:]) <= ({401, 429, 503} if connection.vendor == "sqlite" else {401, 429})


@pytest.mark.parametrize("changed", ["ticket", "code", "device"])
def test_wrong_ticket_or_code_opens_nothing(
    site: Site, step: Callable[..., dict[str, str]], device: Any, changed: str
) -> None:
    """The answer doesn't say which of them is wrong."""
    answer = site.post("login/code/", step(**{changed: wrong_code(device)}))
    assert (answer.status_code, answer.cookies) == (401, {})


@pytest.mark.parametrize("whose", ["another user's", "not confirmed"])
def test_only_a_confirmed_device_of_the_user_counts(
    site: Site, step: Callable[..., dict[str, str]], make_user: MakeUser, whose: str
) -> None:
    """An attacker who knows the password has a device, or can begin to register one."""
    body = step()
    user = get_user_model()._default_manager.get()
    foreign = TOTPDevice.objects.create(
        user=user if whose == "not confirmed" else make_user("bob"),
        confirmed=whose != "not confirmed",
    )
    body = {**body, "device": foreign.persistent_id, "code": code_of(foreign)}
    assert site.post("login/code/", body).status_code == 401


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_atomic", [False, True])
def test_wrong_code_locks_the_device(
    site: Site,
    credentials: dict[str, str],
    step: Callable[..., dict[str, str]],
    device: Any,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    is_atomic: bool,
) -> None:
    """By django-otp, for longer with each failure. A new ticket doesn't buy new attempts.

    The failure is counted even if the project runs each request in a transaction.
    """
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", is_atomic)
    settings.OTP_TOTP_THROTTLE_FACTOR = 3600
    assert site.post("login/code/", step(code=wrong_code(device))).status_code == 401
    another = site.post("login/", credentials).json()["ticket"]
    answer = site.post("login/code/", step(ticket=another))
    assert answer.status_code == 429
    assert 3000 < int(answer["Retry-After"]) <= 3600
    TOTPDevice.objects.update(throttling_failure_count=0)
    assert site.post("login/code/", step()).status_code == 200


def test_wrong_code_is_in_the_security_log(
    site: Site, step: Callable[..., dict[str, str]], device: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """As every failed login is, and neither the code nor the name."""
    text = wrong_code(device)
    site.post("login/code/", step(code=text))
    assert "log_in_failed" in caplog.text
    assert text not in caplog.text


def test_ticket_ends_after_five_minutes(
    site: Site, step: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ticket that is found later is useless."""
    body, later = step(), time.time() + 301
    monkeypatch.setattr(time, "time", lambda: later)
    answer = site.post("login/code/", body)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")


def test_window_of_a_count_may_end_at_any_moment(
    site: Site, credentials: dict[str, str], two_steps: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is there when it is added to, and has expired when it is counted up."""
    monkeypatch.setattr("django.core.cache.backends.locmem.LocMemCache.add", lambda *_: False)
    assert site.post("login/", credentials).status_code == 200


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


def test_ticket_ends_with_the_password(
    site: Site, user: AbstractBaseUser, step: Callable[..., dict[str, str]]
) -> None:
    """A change of the password between the steps undoes the first one."""
    body = step()
    user.set_password("another long password")
    user.save()
    assert site.post("login/code/", body).status_code == 401


def test_user_without_a_device_logs_in_with_one_step(
    site: Site, credentials: dict[str, str], two_steps: None
) -> None:
    """The token says so. The wrong password is answered as the endpoint answers it."""
    assert claims_of(site.post("login/", credentials))["amr"] == ["pwd"]
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
