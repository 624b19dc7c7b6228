"""The throttles of logins and refreshes."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.core.cache.backends import base as cache_base
from django.core.cache.backends import locmem
from django.core.cache.backends.locmem import LocMemCache
from django.db import connection
from pytest_django import Settings
from rest_framework.exceptions import Throttled

from jwt_auth import counting, signals
from jwt_auth.http import throttling, username_spellings
from jwt_auth.models import Client
from tests.conftest import MakeUser
from tests.http.conftest import Clock
from tests.http.site import COOKIE, Session, Site, everything

pytestmark = [pytest.mark.sql, pytest.mark.user_model, pytest.mark.smoke]


@pytest.fixture(autouse=True)
def _cache_of_the_clock(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevent windows from ending by themselves during a test."""
    for module in (cache_base, locmem):
        monkeypatch.setattr(module, "time", clock)


OFF = dict.fromkeys(("login_account", "login_address", "refresh", "password_reset"))

NO_CACHE = {
    "BACKEND": "django.core.cache.backends.redis.RedisCache",
    "LOCATION": "redis://127.0.0.1:1/0",  # no server listens there
}


def _guess(site: Site, username: str, **extra: Any) -> int:
    body = {"username": username, "password": "a guess"}
    return int(site.post("login/", body, **extra).status_code)


def test_account_is_throttled_wherever_guesses_come_from(
    site: Site, credentials: dict[str, str], settings: Settings, clock: Clock
) -> None:
    """Then the right password doesn't help either. The answer says how long to wait: until the end
    of the window that the first guess began.
    """
    settings.JWT_AUTH_THROTTLE_RATES = {**OFF, "login_account": "2/min"}
    codes = []
    for n in range(2):
        codes.append(_guess(site, credentials["username"], REMOTE_ADDR=f"192.0.2.{n}"))
        clock.now += 7.25
    answer = site.post("login/", credentials, REMOTE_ADDR="192.0.2.9")
    assert [*codes, answer.status_code] == [401, 401, 429]
    assert answer.json().keys() == {"detail", "code"}
    assert answer.json()["code"] == "throttled"
    assert answer["Retry-After"] == "46"
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.parametrize("exists", [True, False])
def test_throttle_does_not_tell_which_accounts_exist(
    exists: bool, site: Site, make_user: MakeUser, settings: Settings
) -> None:
    """Attempts at one spelling and then at another are answered alike, whether a user has that
    name or not.
    """
    settings.JWT_AUTH_THROTTLE_RATES = {**OFF, "login_account": "2/min"}
    user = make_user("bob")
    name = user.get_username()
    if not exists:
        user.delete()
    spellings = (name, name.upper(), f" {name}", name.replace("o", "\u00f6"), name)
    assert [_guess(site, spelling) for spelling in spellings] == [401, 401, 429, 429, 429]


@pytest.mark.parametrize("exists", [True, False])
def test_spellings_that_the_database_takes_for_one_name_are_one_count(
    exists: bool, site: Site, make_user: MakeUser, settings: Settings
) -> None:
    """MariaDB's collation ignores case, accents and blanks at the end, and takes a sharp s for one
    s or for two. Otherwise each of them would have separate attempts.
    """
    settings.JWT_AUTH_THROTTLE_RATES = {**OFF, "login_account": "1/min"}
    user = make_user("boss")
    name, model = user.get_username(), get_user_model()
    spellings = (
        name.upper(),
        f"{name} ",
        name.replace("o", "\u00f6"),
        name.replace("s", "\u00df", 1),
        name.replace("ss", "\u00df", 1),
    )
    equal = [
        spelling
        for spelling in spellings
        if model.objects.filter(**{model.USERNAME_FIELD: spelling}).exists()
    ]
    if not exists:
        user.delete()
    assert [_guess(site, spelling) for spelling in (name, *equal)] == [401] + [429] * len(equal)


def test_log_in_with_a_like_name_is_no_help_against_another(
    site: Site, make_user: MakeUser, password: str, settings: Settings
) -> None:
    """If the database distinguishes two names, they share a counter, and owning one doesn't reset
    it.
    """
    settings.JWT_AUTH_THROTTLE_RATES = {**OFF, "login_account": "3/min"}
    alice = make_user("alice").get_username()
    model = get_user_model()
    if model.objects.filter(**{model.USERNAME_FIELD: alice.upper()}).exists():
        pytest.skip("this database takes the two for one")
    like = make_user("ALICE").get_username()
    for _ in range(2):
        assert _guess(site, alice) == 401
        assert site.post("login/", {"username": like, "password": password}).status_code == 200
    assert [_guess(site, alice) for _ in range(2)] == [401, 429]


@pytest.mark.parametrize(
    "name",
    ["ALICE", "\uff41lice", "\u00e4lice ", " ALICE", "a\u200blice", "\u24d0lice", "al\u0131ce"],
)
def test_name_that_only_another_backend_may_know_is_counted_by_its_letters(
    name: str, site: Site, settings: Settings
) -> None:
    """A backend that looks up addresses, say, may ask a database that takes two as equal."""
    settings.JWT_AUTH_THROTTLE_RATES = {**OFF, "login_account": "1/min"}
    assert [_guess(site, each) for each in ("alice", name, "bob")] == [401, 429, 401]


def test_blanks_at_the_end_make_no_other_name(db: None) -> None:
    """Wherever a name comes from: MariaDB pads it with blanks before it compares."""
    assert username_spellings.count_names("alice  ") == username_spellings.count_names("alice")


def test_name_that_the_column_cannot_hold_is_counted_by_its_letters(
    site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database may be unable to compare it with its names. That isn't a 500."""
    settings.JWT_AUTH_THROTTLE_RATES = {**OFF, "login_account": "1/min"}
    field: Any = get_user_model()._meta.get_field(get_user_model().USERNAME_FIELD)
    monkeypatch.setattr(field, "column", "no_such_column")
    names = [username_spellings.count_names(name) for name in ("Alice", "\u00e4lice")]
    assert names == [["letters alice"]] * 2


def test_address_is_throttled_whatever_the_account(site: Site, settings: Settings) -> None:
    """One attempt at each of many accounts is noticed, too."""
    settings.JWT_AUTH_THROTTLE_RATES = {**OFF, "login_address": "2/min"}
    assert [_guess(site, f"user{n}") for n in range(3)] == [401, 401, 429]
    assert _guess(site, "user1", REMOTE_ADDR="192.0.2.1") == 401


def test_ipv6_network_is_one_address(site: Site, settings: Settings) -> None:
    """A customer of a provider has 2^64 of them."""
    settings.JWT_AUTH_THROTTLE_RATES = {**OFF, "login_address": "2/min"}
    codes = [_guess(site, "a", REMOTE_ADDR=f"2001:db8:0:1::{n}") for n in range(3)]
    assert codes == [401, 401, 429]
    assert _guess(site, "a", REMOTE_ADDR="2001:db8:0:2::1") == 401


def test_client_without_address_is_throttled_by_account_only(
    site: Site, settings: Settings
) -> None:
    """Otherwise all clients behind a Unix socket would share one counter."""
    settings.JWT_AUTH_THROTTLE_RATES = {**OFF, "login_address": "1/min"}
    assert [_guess(site, "a", REMOTE_ADDR="") for _ in range(2)] == [401, 401]


def test_success_neither_counts_nor_resets_a_guessers_count(
    site: Site, credentials: dict[str, str], settings: Settings
) -> None:
    """However often a user logs in, that isn't guessing, and gives an attacker no new attempts."""
    settings.JWT_AUTH_THROTTLE_RATES = {**OFF, "login_account": "2/min"}
    assert _guess(site, credentials["username"]) == 401
    assert [site.post("login/", credentials).status_code for _ in range(4)] == [200] * 4
    assert [_guess(site, credentials["username"]) for _ in range(2)] == [401, 429]


def test_success_after_the_windows_end_takes_nothing_back(
    db: None, settings: Settings, clock: Clock
) -> None:
    """A login that took long belongs to a window that has ended."""
    settings.JWT_AUTH_THROTTLE_RATES = {**OFF, "login_account": "1/sec"}
    client = Client(ip_address=None, user_agent="")
    counters = throttling.count_login("alice", client, now=clock.now)
    clock.now += 2
    throttling.count_login("alice", client, now=clock.now)
    throttling.take_back(counters)
    with pytest.raises(Throttled):
        throttling.count_login("alice", client, now=clock.now)


def test_success_does_not_reset_the_address(
    site: Site, credentials: dict[str, str], settings: Settings
) -> None:
    """Otherwise an attacker with an account would have endless attempts."""
    settings.JWT_AUTH_THROTTLE_RATES = {**OFF, "login_address": "2/min"}
    assert _guess(site, "bob") == 401
    assert site.post("login/", credentials).status_code == 200
    assert _guess(site, "bob") == 429


@pytest.mark.parametrize("backend", ["ModelBackend", "AllowAllUsersModelBackend"])
def test_inactive_users_right_password_resets_nothing(
    backend: str, site: Site, make_user: MakeUser, password: str, settings: Settings
) -> None:
    """An attempt that opens no session has failed, even if the backend lets the user in."""
    settings.AUTHENTICATION_BACKENDS = [f"django.contrib.auth.backends.{backend}"]
    settings.JWT_AUTH_THROTTLE_RATES = {**OFF, "login_account": "1/min"}
    user = make_user(is_active=False)
    body = {"username": user.get_username(), "password": password}
    assert [site.post("login/", body).status_code for _ in range(2)] == [401, 429]


def test_throttled_login_runs_no_hasher_and_writes_nothing(
    site: Site, credentials: dict[str, str], settings: Settings
) -> None:
    """A flood costs neither CPU nor rows."""
    settings.JWT_AUTH_THROTTLE_RATES = {**OFF, "login_account": "1/min"}
    _guess(site, credentials["username"])
    before = everything()
    assert site.post("login/", credentials).status_code == 429
    assert everything() == before


def test_refresh_counts_per_session(
    site: Site, session: Session, credentials: dict[str, str], settings: Settings
) -> None:
    """A page in a loop is stopped, its cookie and row untouched. Other sessions continue."""
    settings.JWT_AUTH_THROTTLE_RATES = {**OFF, "refresh": "1/min"}
    assert site.post("refresh/").status_code == 200
    before = everything()
    answer = site.post("refresh/")
    assert (answer.status_code, answer.json()["code"]) == (429, "throttled")
    assert int(answer["Retry-After"]) > 0
    assert not answer.cookies
    assert everything() == before
    other = Site()
    other.post("login/", credentials)
    assert other.post("refresh/").status_code == 200


def test_forged_tokens_do_not_count_on_the_victims_session(
    site: Site, session: Session, settings: Settings
) -> None:
    """An attacker can write a family's ID into a token, but can't make the tag."""
    settings.JWT_AUTH_THROTTLE_RATES = {**OFF, "refresh": "1/min"}
    tail = "AAAA" if session.refresh_token[-4:] != "AAAA" else "BBBB"
    forged = {"Cookie": f"{COOKIE}={session.refresh_token[:-4]}{tail}"}
    assert [site.post("refresh/", headers=forged).status_code for _ in range(3)] == [401] * 3
    assert site.post("refresh/", headers=session.cookie).status_code == 200


_DJANGO_REDIS = "django_redis.cache.RedisCache"


@pytest.mark.parametrize(
    ("cache", "reason"),
    [
        (NO_CACHE, "ConnectionError"),
        (
            {"BACKEND": _DJANGO_REDIS, "LOCATION": "redis://127.0.0.1:1/0"},
            "ConnectionError",
        ),
        (
            {
                "BACKEND": _DJANGO_REDIS,
                "LOCATION": "redis://127.0.0.1:1/0",
                "OPTIONS": {"IGNORE_EXCEPTIONS": True},
            },
            "it returned no count",
        ),
        ({"BACKEND": _DJANGO_REDIS, "LOCATION": "redis://user:ab#cd@127.0.0.1:1/0"}, "ValueError"),
    ],
    ids=["django", "django-redis", "swallows its errors", "password not encoded"],
)
def test_cache_that_is_down_lets_people_in_and_is_logged(
    cache: dict[str, Any],
    reason: str,
    site: Site,
    credentials: dict[str, str],
    settings: Settings,
    log: pytest.LogCaptureFixture,
) -> None:
    """A login must not answer 500, nor 429 for all users, because the cache is unavailable."""
    settings.JWT_AUTH_THROTTLE_RATES = {**OFF, "login_account": "1/min", "refresh": "1/min"}
    settings.CACHES = {"default": cache}
    assert [site.post("login/", credentials).status_code for _ in range(2)] == [200, 200]
    assert [site.post("refresh/").status_code for _ in range(2)] == [200, 200]
    bearer = {"Authorization": f"Bearer {site.post('refresh/').json()['access_token']}"}
    passwords = {"old_password": credentials["password"], "new_password": "another-one-4711"}
    assert site.post("password/change/", passwords, headers=bearer).status_code == 200
    errors = [record for record in log.records if record.levelno == logging.ERROR]
    said = f"The cache is not available ({reason}): attempts are not being throttled."
    assert {record.getMessage() for record in errors} == {said}
    assert not any(record.exc_info for record in errors)


def test_cache_that_fails_during_a_log_in_is_logged(
    db: None, settings: Settings, log: pytest.LogCaptureFixture
) -> None:
    """The attempt stays counted, in case the cache comes back. The login continues."""
    settings.JWT_AUTH_THROTTLE_RATES = {**OFF, "login_account": "1/min"}
    counters = throttling.count_login("alice", Client(ip_address=None, user_agent=""), now=0.0)
    settings.CACHES = {"default": NO_CACHE}
    throttling.take_back(counters)
    assert [record.levelno for record in log.records] == [logging.ERROR]


def test_cache_that_keeps_nothing_lets_people_in(settings: Settings) -> None:
    """A counter that disappears between two steps counts like a first attempt."""
    settings.JWT_AUTH_THROTTLE_RATES = {**OFF, "login_account": "1/min"}
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    for _ in range(3):
        throttling.count("login_account", "a", now=0.0)


def test_none_turns_one_off(site: Site, settings: Settings) -> None:
    """The other throttles keep their defaults if the setting doesn't name them."""
    settings.JWT_AUTH_THROTTLE_RATES = {"login_account": None}
    assert [_guess(site, "a") for _ in range(31)] == [401] * 30 + [429]


def test_defaults_are_on(site: Site, settings: Settings) -> None:
    """Five a minute for an account, without any setting."""
    del settings.JWT_AUTH_THROTTLE_RATES
    assert [_guess(site, "a") for _ in range(6)] == [401] * 5 + [429]


def test_window_ends(settings: Settings, clock: Clock) -> None:
    """Only then does the count begin again."""
    settings.JWT_AUTH_THROTTLE_RATES = {**OFF, "login_account": "1/sec"}
    throttling.count("login_account", "a", now=clock.now)
    for _ in range(2):
        with pytest.raises(Throttled):
            throttling.count("login_account", "a", now=clock.now)
        clock.now += 0.75
    throttling.count("login_account", "a", now=clock.now)


class DistantCache(LocMemCache):
    """A cache that answers reads late: a counter that reads and then writes would fail."""

    def get(self, *given: Any, **named: Any) -> Any:
        """Read, and take a while."""
        value = super().get(*given, **named)
        time.sleep(0.02)
        return value


def test_simultaneous_attempts_are_all_counted(settings: Settings, clock: Clock) -> None:
    """Of thirty attempts at the same moment, with a limit of ten, exactly ten get through."""
    settings.JWT_AUTH_THROTTLE_RATES = {**OFF, "login_account": "10/min"}
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.DistantCache", "LOCATION": "distant"}}
    start = Barrier(30)

    def attempt(_: int) -> bool:
        start.wait()
        try:
            throttling.count("login_account", "a", now=clock.now)
        except Throttled:
            return False
        return True

    with ThreadPoolExecutor(30) as pool:
        assert sum(pool.map(attempt, range(30))) == 10


def test_scopes_and_idents_are_apart(settings: Settings) -> None:
    """An account and an address with the same text have separate counters."""
    settings.JWT_AUTH_THROTTLE_RATES = {**OFF, "login_account": "1/min", "refresh": "1/min"}
    for scope, ident in (("login_account", "a"), ("refresh", "a"), ("refresh", "b")):
        throttling.count(scope, ident, now=0.0)


def test_cache_holds_no_account_in_the_clear(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the cache's keys, a user name is a digest, even with surrogates and control characters."""
    settings.JWT_AUTH_THROTTLE_RATES = {**OFF, "login_account": "1/min"}
    keys: list[str] = []
    real = cache.add

    def add(key: str, *rest: Any, **named: Any) -> bool:
        keys.append(key)
        return real(key, *rest, **named)

    monkeypatch.setattr(cache, "add", add)
    throttling.count("login_account", "alice\ud800\n", now=0.0)
    assert len(keys) == 2
    assert all("alice" not in key and key.isprintable() and len(key) < 200 for key in keys)


def test_digest_of_an_account_can_not_be_tried_out(settings: Settings) -> None:
    """A reader of the log or the cache has no key, so no list of addresses tells who is in it."""
    reported: list[str] = []

    def note(*, ident: str, **_: Any) -> None:
        reported.append(ident)

    signals.attempt_throttled.connect(note)
    settings.JWT_AUTH_THROTTLE_RATES = {"password_reset": "1/hour"}
    try:
        for key in ("one key" * 8, "another key" * 8):
            settings.SECRET_KEY = key
            for _ in range(2):
                counting.count("password_reset", "alice@example.com", now=time.time())
    finally:
        signals.attempt_throttled.disconnect(note)
    assert len(set(reported)) == 2


@pytest.mark.parametrize("rate", ["", "5", "0/min", "-1/min", "x/min", "5/fortnight", "5/"])
def test_rate_that_is_none_is_refused(rate: Any) -> None:
    """The checks report it at the start."""
    with pytest.raises((ValueError, KeyError, IndexError)):
        counting.parse_rate(rate)


def test_tenants_are_counted_apart(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user isn't locked out by attempts at a user of the same name in another schema."""
    settings.JWT_AUTH_THROTTLE_RATES = {"refresh": "1/min"}
    throttling.count("refresh", "PK 1", now=0.0)
    monkeypatch.setattr(connection, "schema_name", "acme", raising=False)
    throttling.count("refresh", "PK 1", now=0.0)
    with pytest.raises(Throttled):
        throttling.count("refresh", "PK 1", now=0.0)


def no_tenant() -> str:
    """Fail to name the tenant, as for a request without one."""
    raise LookupError


def test_tenant_that_can_not_be_named_lets_nobody_guess(settings: Settings) -> None:
    """It is an error of the project, which has to be seen, not one of the cache."""
    settings.JWT_AUTH_THROTTLE_RATES = {"refresh": "1/min"}
    settings.JWT_AUTH_TENANT = f"{__name__}.no_tenant"
    with pytest.raises(LookupError):
        throttling.count("refresh", "PK 1", now=0.0)
