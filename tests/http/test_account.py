"""GET me/, GET and DELETE sessions/, POST password/change/."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from pytest_django import Settings

from jwt_auth.flows.lifetimes import lifetimes_for
from jwt_auth.flows.opening import new_family
from jwt_auth.models import Client, RefreshTokenFamily
from tests.conftest import GiveRoles
from tests.http.site import COOKIE, Session, Site, everything, open_session

pytestmark = [pytest.mark.sql, pytest.mark.user_model, pytest.mark.smoke]

NEW_PASSWORD = "another staple, another horse"


def test_me_says_who_it_is(
    site: Site, session: Session, user: AbstractBaseUser, give_roles: GiveRoles
) -> None:
    """Roles are those of now, sorted, whatever the token says."""
    give_roles(user, "editor", "admin")
    answer = site.get("me/", headers=session.bearer)
    assert answer.status_code == 200
    body = answer.json()
    assert (str(body["id"]), body["username"]) == (str(user.pk), user.get_username())
    assert body["email"] == "alice@example.com"
    assert sorted(body["roles"]) == ["admin", "editor"]
    assert body.keys() == {"id", "username", "email", "roles"}
    assert answer["Cache-Control"] == "no-store"


def test_sessions_lists_live_ones_last_used_first(
    site: Site, session: Session, bobs: Session, credentials: dict[str, str]
) -> None:
    """The caller's own is marked. Ended, expired and other users' sessions are not there."""
    ended, expired = (open_session(Site(), credentials) for _ in range(2))
    phone = Site(HTTP_USER_AGENT="Old phone", REMOTE_ADDR="192.0.2.7")
    other = open_session(phone, credentials)
    families, past = RefreshTokenFamily.objects, datetime(2024, 1, 1, tzinfo=UTC)
    families.filter(pk=ended.id).update(revoked_at=past)
    families.filter(pk=expired.id).update(expires_at=past)
    answer = site.get("sessions/", headers=session.bearer)
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    first, second = answer.json()
    assert (first["id"], first["current"]) == (str(other.id), False)
    assert (first["user_agent"], first["ip_address"]) == ("Old phone", "192.0.2.7")
    assert (second["id"], second["current"]) == (str(session.id), True)
    bearer = {"Authorization": f"Bearer {site.post('refresh/').json()['access_token']}"}
    assert site.get("sessions/", headers=bearer).json()[0]["id"] == str(session.id)
    assert first.keys() == {
        "id",
        "created_at",
        "last_used_at",
        "expires_at",
        "ip_address",
        "user_agent",
        "device",
        "current",
    }


def test_sessions_name_their_devices(site: Site, credentials: dict[str, str]) -> None:
    """By the user agent of the last use; one without a name has none."""
    agents = {
        "Mozilla/5.0 (X11; Linux; rv:140.0) Gecko/20100101 Firefox/140.0": "Firefox on Linux",
        "okhttp/4.12.0": "okhttp",
        "Old phone": "",
    }
    sessions = [open_session(Site(HTTP_USER_AGENT=each), credentials) for each in agents]
    listed = site.get("sessions/", headers=sessions[0].bearer).json()
    assert {one["user_agent"]: one["device"] for one in listed} == agents


def test_list_is_bounded(site: Site, session: Session, user: AbstractBaseUser) -> None:
    """The two hundred that were used last, the caller's own among them."""
    now = datetime.now(UTC)
    client = Client(ip_address=None, user_agent="")
    lifetimes = lifetimes_for(user, remember_me=False, client=client)
    log_in = partial(new_family, user, lifetimes=lifetimes, client=client, claims={})
    RefreshTokenFamily.objects.bulk_create(
        log_in(now=now - timedelta(minutes=minutes)) for minutes in range(1, 210)
    )
    listed = site.get("sessions/", headers=session.bearer).json()
    assert len(listed) == 200
    assert [one["current"] for one in listed] == [True, *[False] * 199]
    times = [one["last_used_at"] for one in listed]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize("use_tz", [True, False])
def test_times_are_utc_and_say_so(
    use_tz: bool, site: Site, credentials: dict[str, str], settings: Settings
) -> None:
    """In every project: a page elsewhere would else read them in its own zone."""
    settings.USE_TZ, settings.TIME_ZONE = use_tz, "America/New_York"
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DATETIME_FORMAT": "%d.%m.%Y"}
    before = datetime.now(UTC)
    session = open_session(site, credentials)
    (listed,) = site.get("sessions/", headers=session.bearer).json()
    times = [listed[name] for name in ("created_at", "last_used_at", "expires_at")]
    assert all(time.endswith("Z") for time in times)
    opened = datetime.fromisoformat(times[0])
    assert before <= opened <= datetime.now(UTC)


def test_session_is_ended_at_once(
    site: Site, session: Session, credentials: dict[str, str]
) -> None:
    """The other device's tokens are worth nothing from then on; this one's go on."""
    other = open_session(Site(), credentials)
    answer = site.delete(f"sessions/{other.id}/", headers=session.bearer)
    assert (answer.status_code, answer.content) == (204, b"")
    assert site.get("me/", headers=other.bearer).status_code == 401
    assert site.post("refresh/", headers=other.cookie).status_code == 401
    assert site.get("me/", headers=session.bearer).status_code == 200


def test_session_of_somebody_else_is_not_found(
    site: Site, session: Session, bobs: Session, credentials: dict[str, str]
) -> None:
    """Neither ended, nor told apart from one that has ended, or that there is not."""
    ended = open_session(Site(), credentials)
    assert site.delete(f"sessions/{ended.id}/", headers=session.bearer).status_code == 204
    answers = [
        site.delete(f"sessions/{session_id}/", headers=session.bearer)
        for session_id in (bobs.id, ended.id, uuid4(), "1", "current", "%00", "x" * 500)
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert {answer.content for answer in answers} == {
        b'{"detail":"There is no such session.","code":"not_found"}'
    }
    assert site.get("me/", headers=bobs.bearer).status_code == 200


def test_password_change_goes_on_with_a_new_session(
    site: Site, session: Session, user: AbstractBaseUser, credentials: dict[str, str]
) -> None:
    """This device gets new tokens; everything from before, its own too, has ended."""
    other = open_session(Site(), credentials)
    body = {"old_password": credentials["password"], "new_password": NEW_PASSWORD}
    answer = site.post("password/change/", body, headers=session.bearer)
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    for bearer in (session.bearer, other.bearer):
        assert site.get("me/", headers=bearer).status_code == 401
    new = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert site.get("me/", headers=new).status_code == 200
    assert site.post("refresh/").status_code == 200
    assert site.post("refresh/", headers=other.cookie).status_code == 401
    ended = RefreshTokenFamily.objects.exclude(revoked_at=None)
    assert [family.revocation_reason for family in ended] == ["password_changed"] * 2
    user.refresh_from_db()
    assert user.check_password(NEW_PASSWORD)


def test_wrong_old_password_changes_nothing(site: Site, session: Session) -> None:
    """A stolen access token alone changes no password."""
    before = everything()
    body = {"old_password": "a guess", "new_password": NEW_PASSWORD}
    answer = site.post("password/change/", body, headers=session.bearer)
    assert answer.status_code == 400
    assert answer.json() == {
        "detail": "The old password is not correct.",
        "code": "invalid_password",
    }
    assert not answer.cookies
    assert everything() == before


def test_new_password_is_validated(site: Site, session: Session, password: str) -> None:
    """The answer has the validators' messages, for the user to read."""
    before = everything()
    body = {"old_password": password, "new_password": "1234567"}
    answer = site.post("password/change/", body, headers=session.bearer)
    assert answer.status_code == 400
    assert answer.json()["code"] == "password_refused"
    assert "This password is entirely numeric." in answer.json()["errors"]["new_password"]
    assert everything() == before


@pytest.mark.usefixtures("clock")
def test_guesses_at_the_old_password_are_throttled(
    site: Site, session: Session, settings: Settings, credentials: dict[str, str]
) -> None:
    """They count with the log-ins to the same account, a right one after the limit, too: a stolen
    access token gives no more attempts at the password.
    """
    settings.JWT_AUTH_THROTTLE_RATES = {"login_account": "2/min", "login_address": None}
    body = {"old_password": "a guess", "new_password": NEW_PASSWORD}
    assert site.post("password/change/", body, headers=session.bearer).status_code == 400
    guess = {"username": credentials["username"].upper(), "password": "a guess"}
    assert site.post("login/", guess).status_code == 401
    right = {**body, "old_password": credentials["password"]}
    answer = site.post("password/change/", right, headers=session.bearer)
    assert answer.status_code == 429
    assert answer["Retry-After"] == "60"
    assert site.post("login/", credentials).status_code == 429


@pytest.mark.parametrize("cookies", [0, 1, 2])
def test_lost_answer_of_a_password_change_is_given_to_a_refresh_with_its_key(
    session: Session, credentials: dict[str, str], cookies: int
) -> None:
    """By the refresh cookie that the change was sent with; of two, nobody knows whose they are."""
    device, key = Site(), {"Idempotency-Key": "the key of the change"}
    body = {"old_password": credentials["password"], "new_password": NEW_PASSWORD}
    jar = {"Cookie": "; ".join([session.cookie["Cookie"]] * cookies)}
    answer = device.post("password/change/", body, headers={**session.bearer, **key, **jar})
    assert answer.status_code == 200
    again = Site().post("refresh/", headers={**session.cookie, **key})
    assert again.status_code == (200 if cookies == 1 else 401)
    is_same = again.cookies[COOKIE].value == answer.cookies[COOKIE].value
    assert is_same == (cookies == 1)
