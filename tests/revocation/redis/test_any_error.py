"""Any error of a client is an outage: the database answers, and no password is shown."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.checks import CheckMessage, run_checks
from pytest_django import Settings
from redis import Connection
from redis.cluster import NodesManager

from jwt_auth.exceptions import Refusal
from jwt_auth.revocation.redis import RedisRevocation
from jwt_auth.revocation.redis.circuit_breaker import State
from tests.flows.scene import log_in, refusal_of
from tests.revocation.redis.scene import REDIS, cache_at, end, known, state_of, use_redis

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.redis]

_SENTINEL = {
    "CONNECTION_FACTORY": "django_redis.pool.SentinelConnectionFactory",
    "SENTINELS": [("127.0.0.1", 1)],
}
_CLUSTER = {"CONNECTION_FACTORY": "jwt_auth.revocation.cluster.ClusterConnectionFactory"}

#: A part of a password, which reads as a port because it is a number.
_SECRET = "47110815"

#: In each of them, the password is not percent-encoded.
_MALFORMED = [
    f"redis://user:{_SECRET}x#y@127.0.0.1:1/0",
    f"redis://user:{_SECRET[:4]}#{_SECRET}@127.0.0.1:1/0",
    f"redis://user:{_SECRET}/y@127.0.0.1:1/0",
    f"redis://user:{_SECRET[:4]}/{_SECRET}@127.0.0.1:1/0",
    f"redis://:{_SECRET[:4]}?{_SECRET}@127.0.0.1:1/0",
    f"redis://:{_SECRET[:4]}?a=b#{_SECRET}@127.0.0.1:1/0",
    f"redis://user:[{_SECRET}@127.0.0.1:1/0",
    f"redis://user:{_SECRET}@{_SECRET}@127.0.0.1:1/0",
    [f"rediss://user:{_SECRET}x#y@127.0.0.1:1/0", "redis://127.0.0.1:1/0"],
]
_GOOD = [
    "redis://127.0.0.1:6379/0",
    "redis://:secret@127.0.0.1:6379/0",
    "rediss://user:%23%2F%40@[::1]:6379/0?client_name=a@b",
    "redis://127.0.0.1:6379?client_name=a@b",
    "redis://primary/0",
    "redis://user@127.0.0.1/0",
]


def _messages(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in log.records if record.name == "jwt_auth"]


def _found(*ids: str) -> list[CheckMessage]:
    return [each for each in run_checks() if str(each.id).removeprefix("jwt_auth.") in ids]


@pytest.mark.parametrize(
    ("location", "options"),
    [
        *((location, {}) for location in _MALFORMED),
        (_MALFORMED[0], _CLUSTER),
        ("redis://127.0.0.1:1", _CLUSTER),
        (_MALFORMED[0], _SENTINEL),
        ("rediss://primary/0", _SENTINEL),
    ],
)
@pytest.mark.usefixtures("nobody_probes")
def test_request_is_answered_and_nothing_is_quoted(
    location: Any,
    options: dict[str, Any],
    user: AbstractBaseUser,
    settings: Settings,
    log: pytest.LogCaptureFixture,
) -> None:
    """Requests and revocations, and the probe in the background."""
    backend = use_redis(settings, cache_at(location, **options), TIMEOUT=5.0)
    ended, live = known(log_in(user)), known(log_in(user))
    end(ended)
    assert (refusal_of(ended), refusal_of(live)) == (Refusal.SESSION_ENDED, None)
    backend.circuit.tick()
    assert state_of(backend.circuit) is State.OPEN
    said = [str(each) for each in backend.check_server()] + _messages(log)
    assert len(said) == 2
    assert not any(_SECRET[:4] in text for text in said)


@pytest.mark.parametrize("location", _MALFORMED, ids=str)
@pytest.mark.parametrize("alias", ["default", "revocation"])
def test_malformed_location_is_an_error(location: Any, alias: str, settings: Settings) -> None:
    """E062, without --deploy. It says what to write and quotes nothing."""
    use_redis(settings, cache_at("redis://127.0.0.1:1/0"))
    settings.CACHES = {**settings.CACHES, alias: cache_at(location)}
    (message,) = _found("E062")
    assert "Percent-encode" in message.msg
    assert repr(alias) in message.msg
    assert _SECRET[:4] not in str(message)


def test_cache_of_both_is_refused_once(settings: Settings) -> None:
    """The throttles' cache and the backend's."""
    settings.CACHES = {**settings.CACHES, "default": cache_at(_MALFORMED[0])}
    settings.JWT_AUTH_REVOCATION = {"BACKEND": REDIS, "OPTIONS": {"CACHE": "default"}}
    assert len(_found("E062")) == 1


@pytest.mark.parametrize("location", _GOOD)
def test_good_location_is_taken(location: str, settings: Settings) -> None:
    """An encoded password, and one that needs no encoding."""
    use_redis(settings, cache_at(location))
    assert _found("E062", "E063") == []


def test_sentinel_with_tls_in_its_location_is_an_error(settings: Settings) -> None:
    """E063, without --deploy: no connection can be made from it."""
    use_redis(settings, cache_at("rediss://primary/0", **_SENTINEL))
    (message,) = _found("E063")
    assert "SENTINEL_KWARGS" in str(message.hint)


class _OfNobodysKind(Exception):
    """An error that no handler would expect."""


@pytest.mark.usefixtures("nobody_probes")
@pytest.mark.parametrize("moment", ["pack_command", "read_response", "connect"])
def test_any_error_in_the_middle_is_an_outage(
    moment: str,
    user: AbstractBaseUser,
    backend: RedisRevocation,
    log: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    issued = known(log_in(user))
    if moment == "connect":
        backend.client.renew()
    with monkeypatch.context() as patch:
        patch.setattr(Connection, moment, Mock(side_effect=_OfNobodysKind(_SECRET)))
        end(issued)
        assert refusal_of(issued) is Refusal.SESSION_ENDED
    assert state_of(backend.circuit) is State.OPEN
    assert _messages(log) == ["Redis has failed (_OfNobodysKind): the database answers meanwhile."]


@pytest.mark.usefixtures("nobody_probes")
def test_any_error_of_a_clusters_discovery_is_an_outage(
    user: AbstractBaseUser, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_redis(settings, cache_at("redis://127.0.0.1:1", **_CLUSTER))
    monkeypatch.setattr(NodesManager, "initialize", Mock(side_effect=_OfNobodysKind))
    assert refusal_of(log_in(user)) is None
