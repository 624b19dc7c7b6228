"""The messages of `manage.py check` about a cache or server that is unsuitable for revocations."""

from __future__ import annotations

import sys

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from jwt_auth.revocation.base import get_backend
from jwt_auth.revocation.redis import connection as module
from tests.revocation.redis.scene import REDIS, cache_at, use_redis
from tests.revocation.redis.servers import RedisServer, free_port

# Django 6.1's own checks ask the database.
pytestmark = [pytest.mark.django_db, pytest.mark.redis]

_OURS = {"jwt_auth.E020", "jwt_auth.E028", "jwt_auth.E029", "jwt_auth.W020", "jwt_auth.W021"}


def _ids(*, deploy: bool = False) -> list[str]:
    found = run_checks(include_deployment_checks=deploy)
    return sorted({str(message.id) for message in found} & _OURS)


@pytest.mark.usefixtures("backend")
def test_good_server_gives_no_message() -> None:
    """No message, with --deploy or without."""
    assert (_ids(), _ids(deploy=True)) == ([], [])


@pytest.mark.usefixtures("backend")
def test_evicting_server_is_a_warning(server: RedisServer) -> None:
    """W020, with --deploy: only then is the server asked."""
    server.run("CONFIG SET", "maxmemory-policy", "allkeys-lru")
    assert (_ids(), _ids(deploy=True)) == ([], ["jwt_auth.W020"])


def test_unreachable_server_is_a_warning(settings: Settings) -> None:
    """W021: the site works meanwhile."""
    use_redis(settings, cache_at(f"redis://127.0.0.1:{free_port()}/0"))
    assert (_ids(), _ids(deploy=True)) == ([], ["jwt_auth.W021"])


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(
    ("version", "messages"), [("5.0.14", ["jwt_auth.E029"]), ("6.0.0", []), ("10.1", [])]
)
def test_old_server_is_an_error(
    version: str, messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """E029, and no message about any newer version."""
    field = module._field

    def fake(info: bytes, name: bytes) -> bytes:
        return version.encode() if name == b"redis_version" else field(info, name)

    monkeypatch.setattr(module, "_field", fake)
    assert _ids(deploy=True) == messages


@pytest.mark.usefixtures("backend")
def test_server_that_hides_its_configuration_is_not_judged(server: RedisServer) -> None:
    """A user without the right to CONFIG is fine."""
    server.run("CONFIG SET", "maxmemory-policy", "allkeys-lru")
    server.run("ACL", "SETUSER", "default", "-config")
    try:
        assert _ids(deploy=True) == []
    finally:
        server.run("ACL", "SETUSER", "default", "+config")


_CACHES = {
    "locmem": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "dummy": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
    "file": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": "/nonexistent",
    },
    "djangos": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": "redis://127.0.0.1:1",
    },
    "broken": {"BACKEND": "django_redis.cache.RedisCash"},
    "sharded": cache_at(
        ["redis://127.0.0.1:1/0", "redis://127.0.0.1:1/1"],
        CLIENT_CLASS="django_redis.client.ShardClient",
    ),
}


@pytest.mark.parametrize("alias", [*_CACHES, "missing"])
def test_cache_that_can_not_carry_revocations_is_an_error(alias: str, settings: Settings) -> None:
    """E028 names the cache; without --deploy, before the first request."""
    settings.CACHES = {**settings.CACHES, **_CACHES}
    settings.JWT_AUTH_REVOCATION = {"BACKEND": REDIS, "OPTIONS": {"CACHE": alias}}
    (message,) = [each for each in get_backend().check() if each.id == "jwt_auth.E028"]
    assert repr(alias) in message.msg
    assert "django_redis" in str(message.hint)


def test_error_stops_the_command(settings: Settings) -> None:
    """`manage.py check` and every command that runs the checks first."""
    settings.JWT_AUTH_REVOCATION = {"BACKEND": REDIS, "OPTIONS": {"CACHE": "missing"}}
    assert _ids() == ["jwt_auth.E028"]


def test_missing_package_names_the_extra(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `[redis]`, a check and the first request say what to install."""
    settings.JWT_AUTH_REVOCATION = {"BACKEND": REDIS, "OPTIONS": {"PREFIX": "without"}}
    monkeypatch.setitem(sys.modules, "django_redis", None)
    for name in [name for name in sys.modules if name.startswith("jwt_auth.revocation.redis")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImproperlyConfigured, match=r"pip install .*\[redis\]"):
        get_backend()
    assert _ids() == ["jwt_auth.E020"]


def test_first_of_several_locations_is_asked(server: RedisServer, settings: Settings) -> None:
    """django-redis takes the other addresses for replicas of the first one."""
    backend = use_redis(settings, cache_at([server.url, "redis://127.0.0.1:1/0"]))
    assert backend.check() == backend.check_server() == []


def test_refused_password_is_named(server: RedisServer, settings: Settings) -> None:
    """W021 has the server's message, and no password."""
    location = f"redis://somebody:not-the-one@127.0.0.1:{server.port}/0"
    (message,) = use_redis(settings, cache_at(location)).check_server()
    assert message.id == "jwt_auth.W021"
    assert "invalid username-password pair" in message.msg
    assert "not-the-one" not in str(message)
