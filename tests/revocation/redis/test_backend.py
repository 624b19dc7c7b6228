"""Revocation answered by Redis: the cost of a request, refusals, and failures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import connection, transaction
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient

from jwt_auth import flows
from jwt_auth.exceptions import AccessTokenRefused, Refusal
from jwt_auth.flows import Issued
from jwt_auth.models import Reason, RefreshTokenFamily, RevokedToken, TokenVersion
from jwt_auth.revocation.base import Denial
from jwt_auth.revocation.lookup import find_standing
from jwt_auth.revocation.redis import RedisRevocation
from jwt_auth.revocation.redis import backend as module
from jwt_auth.revocation.redis.circuit_breaker import State
from tests.flows.scene import authenticate, log_in, refresh, refusal_of
from tests.revocation.contract import RevocationContract
from tests.revocation.redis.scene import (
    cache_at,
    commands_of,
    end,
    hash_of_user,
    keys_of,
    known,
    log_out_everywhere,
    token_of,
    use_redis,
)
from tests.revocation.redis.servers import RedisServer

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.redis,
    pytest.mark.sql,
    pytest.mark.user_model,
    pytest.mark.usefixtures("backend"),
]


class TestContract(RevocationContract):
    @pytest.fixture(autouse=True)
    def _backend(self, backend: RedisRevocation) -> Iterator[None]:
        yield
        assert backend.circuit.state is State.CLOSED  # Redis has answered, not the database


# ---- The cost of a request


def test_known_session_costs_one_command_and_no_sql(
    user: AbstractBaseUser, server: RedisServer, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """One HMGET for a view that reads the key and the claims."""
    issued = known(log_in(user))
    with commands_of(server) as commands, django_assert_num_queries(0):
        found, token = authenticate(issued)
        assert (found, token.session_id) == (user, issued.family.pk)
    assert commands == ["hmget"]


def test_version_that_redis_was_not_told_of_is_learned_from_the_database(
    user: AbstractBaseUser, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """As when a process dies after it has revoked the access tokens: the session goes on.

    The first request of the new version corrects the hash for the former ones, too.
    """
    former = known(log_in(user))
    TokenVersion.objects.bump(user.pk)
    RefreshTokenFamily.objects.all().move_to(TokenVersion.objects.current(user.pk))
    issued = known(refresh(former))
    with django_assert_num_queries(0):
        assert refusal_of(issued) is None
        assert refusal_of(former) is Refusal.TOKEN_VERSION


def test_version_that_nobody_has_yet_is_refused(
    user: AbstractBaseUser, backend: RedisRevocation
) -> None:
    """By the database, which may have been restored from a backup."""
    token = token_of(known(log_in(user)))
    with pytest.raises(AccessTokenRefused) as refused:
        backend.get_user(replace(token, token_version=9))
    assert refused.value.reason is Refusal.TOKEN_VERSION


def test_first_request_of_session_costs_two_selects(
    user: AbstractBaseUser, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """The verdict, and the denied tokens."""
    issued = log_in(user)
    with django_assert_num_queries(2):
        authenticate(issued)


def test_other_session_is_added_to_hash(
    user: AbstractBaseUser, server: RedisServer, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """It needs no SQL for the known sessions, and doesn't extend the TTL."""
    first, second = known(log_in(user)), log_in(user)
    (key,) = keys_of(server)
    server.run("PEXPIRE", key, 30_000)
    known(second)
    assert server.run("PTTL", key) <= 30_000
    with django_assert_num_queries(0):
        authenticate(first)
        authenticate(second)


def test_refused_request_costs_no_sql(
    user: AbstractBaseUser,
    backend: RedisRevocation,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    ended, denied = known(log_in(user)), known(log_in(user))
    end(ended)
    token = token_of(denied)
    flows.deny_token(token.jti, user_id=user.pk, expires_at=token.expires_at, now=datetime.now(UTC))
    # A second revocation of the same changes nothing.
    backend.deny(Denial(user_id=user.pk, session_ids=[ended.family.pk], jtis=[token.jti]))
    with django_assert_num_queries(0):
        assert refusal_of(ended) is Refusal.SESSION_ENDED
        assert refusal_of(denied) is Refusal.TOKEN_REVOKED


def test_rolled_back_revocation_costs_sql_only(user: AbstractBaseUser) -> None:
    """Its marks stay until the hash expires. They refuse no token."""
    issued = known(log_in(user))
    with transaction.atomic():
        end(issued)
        log_out_everywhere(user)
        transaction.set_rollback(True)
    assert refusal_of(issued) is None


# ---- Refusals


def _deactivate_all() -> None:
    get_user_model()._default_manager.update(is_active=False)


def _delete_all() -> None:
    for model in (RefreshTokenFamily, TokenVersion, get_user_model()):
        model._base_manager.all()._raw_delete("default")


@pytest.mark.parametrize(
    ("change", "reason"),
    [(_deactivate_all, Refusal.USER_INACTIVE), (_delete_all, Refusal.USER_UNKNOWN)],
)
def test_change_without_signal_is_seen_when_hash_expires(
    user: AbstractBaseUser, server: RedisServer, change: Callable[[], None], reason: Refusal
) -> None:
    """A view that reads the user gets a refusal immediately."""
    issued = known(log_in(user))
    change()
    found, _ = authenticate(issued)
    with pytest.raises(AccessTokenRefused):
        assert found.email
    _expire(server)
    assert [refusal_of(issued), refusal_of(issued)] == [reason] * 2


def test_deleted_row_of_session_stays_refused(user: AbstractBaseUser, server: RedisServer) -> None:
    """A session that isn't in the hash isn't live: deleting one in the admin ends it for good."""
    issued, other = known(log_in(user)), known(log_in(user))
    end(issued)
    RefreshTokenFamily.objects.filter(pk=issued.family.pk).delete()
    for _ in range(3):
        assert refusal_of(issued) is Refusal.SESSION_ENDED
        assert refusal_of(other) is None
        _expire(server)


def test_denial_finds_hash_whatever_form_the_key_has(user: AbstractBaseUser) -> None:
    """A user saved with a key in capitals or as text is the same user."""
    issued = known(log_in(user))
    text = str(user.pk)
    flows.end_user_sessions(
        text if user.pk == text else text.upper(),
        reason=Reason.ADMINISTRATOR,
        client=None,
        now=datetime.now(UTC),
    )
    assert refusal_of(issued) is Refusal.TOKEN_VERSION


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [("a", "0", Refusal.USER_INACTIVE), ("v", "7", Refusal.TOKEN_VERSION)],
)
def test_what_hash_says_of_user_counts(
    user: AbstractBaseUser, server: RedisServer, field: str, value: str, reason: Refusal
) -> None:
    """The state of the user is known without the database."""
    issued = known(log_in(user))
    (key,) = keys_of(server)
    server.run("HSET", key, field, value)
    assert refusal_of(issued) is reason


def test_thousands_of_denied_tokens_fit(
    user: AbstractBaseUser,
    backend: RedisRevocation,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    """Lua unpacks at most 8,000 values at once. A busy user's hash has to be completed, too."""
    issued = log_in(user)
    token = token_of(issued)
    _deny_many(user, token.expires_at, 9_000)
    known(issued)
    assert backend.circuit.state is State.CLOSED
    denied = replace(token, jti="jti-8999")
    with pytest.raises(AccessTokenRefused), django_assert_num_queries(0):
        backend.get_user(denied)


def test_keys_of_other_issuer_are_others(
    user: AbstractBaseUser, server: RedisServer, settings: Settings
) -> None:
    """Two projects that share a server have separate hashes, unless they set the same prefix."""
    use_redis(settings, cache_at(server.url))
    del settings.JWT_AUTH_REVOCATION["OPTIONS"]["PREFIX"]
    known(log_in(user))
    settings.JWT_AUTH_ISSUER = "https://other.example.com"
    known(log_in(user))
    assert len(keys_of(server)) == 2


def test_end_of_everything_spares_other_keys(
    user: AbstractBaseUser, server: RedisServer, settings: Settings
) -> None:
    """A prefix with special characters matches only itself. Keys of other types aren't touched."""
    backend = use_redis(settings, cache_at(server.url), PREFIX="a[b]*")
    issued = known(log_in(user))
    server.run("SET", "ab:1:{1}", "somebody else's")
    server.run("SET", "a[b]*:1:probe", "1")
    flows.end_all_sessions(reason=Reason.KEY_COMPROMISE, client=None, now=datetime.now(UTC))
    assert refusal_of(issued) is Refusal.SESSION_ENDED
    assert backend.circuit.state is State.CLOSED


# ---- Transactions


def test_hash_is_not_completed_from_old_snapshot(
    user: AbstractBaseUser, server: RedisServer
) -> None:
    """A transaction may show the database as it was before a revocation that broke no lease."""
    issued = log_in(user)
    with _snapshot():
        assert RefreshTokenFamily.objects.count() == 1  # the snapshot begins here
        _elsewhere(lambda: end(issued))
        server.run("FLUSHALL")
        refusal_of(issued)  # the verdict within this transaction doesn't matter
    assert refusal_of(issued) is Refusal.SESSION_ENDED


def test_read_committed_completes_hash_in_transaction(
    user: AbstractBaseUser, server: RedisServer
) -> None:
    """ATOMIC_REQUESTS costs no more if each statement sees what has been committed."""
    issued = log_in(user)
    with transaction.atomic():
        assert refusal_of(issued) is None
    assert (keys_of(server) != []) is (connection.vendor != "sqlite")


def test_without_autocommit_hash_is_not_completed(
    user: AbstractBaseUser, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection without autocommit is in a transaction, although in no atomic block."""
    issued = log_in(user)
    monkeypatch.setattr(connection, "isolation_level", "repeatable read", raising=False)
    transaction.set_autocommit(False)
    try:
        assert refusal_of(issued) is None
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)
    assert keys_of(server) == []


# ---- At the same time


def test_one_of_many_completes_hash(
    user: AbstractBaseUser,
    backend: RedisRevocation,
    server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A request that finds a fresh lease asks the database and leaves the hash alone."""
    monkeypatch.setattr(module, "time", lambda: 1_000_000)
    issued = log_in(user)
    backend.take_lease(str(user.pk))
    with commands_of(server) as commands:
        assert refusal_of(issued) is None
    assert commands == ["hmget"]


def test_lease_left_behind_is_taken_over(
    user: AbstractBaseUser,
    backend: RedisRevocation,
    server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process that died with the lease costs five seconds of SQL."""
    issued = log_in(user)
    with monkeypatch.context() as patch:
        patch.setattr(module, "time", lambda: 1_000_000)
        backend.take_lease(str(user.pk))
    known(issued)
    assert b"lease" not in hash_of_user(server)


def test_hash_is_not_completed_with_what_was_read_before_a_revocation(
    user: AbstractBaseUser, backend: RedisRevocation
) -> None:
    """One of the whole user names no session, so only the lost lease tells of it."""
    issued = log_in(user)
    lease, run, fields = _take_lease_and_read(issued, backend)
    log_out_everywhere(user)
    assert not backend.write_fields(str(user.pk), fields, lease=lease, run=run)
    assert refusal_of(issued) is Refusal.TOKEN_VERSION


def test_hash_is_not_completed_on_another_server_than_the_leases(
    user: AbstractBaseUser, backend: RedisRevocation
) -> None:
    """One that was restored may have a lease that a revocation has broken since."""
    lease, run, fields = _take_lease_and_read(log_in(user), backend)
    assert not backend.write_fields(str(user.pk), fields, lease=lease, run=b"another")
    assert backend.write_fields(str(user.pk), fields, lease=lease, run=run)


def _take_lease_and_read(issued: Issued, backend: RedisRevocation) -> tuple[str, bytes, list[str]]:
    token = token_of(issued)
    lease, run = backend.take_lease(token.subject)
    standing = find_standing(token)
    assert standing is not None
    return lease, run, backend.read_fields(standing, token)


@pytest.mark.parametrize("what", ["session", "token", "user"])
def test_revocation_under_way_asks_database(
    user: AbstractBaseUser, backend: RedisRevocation, what: str
) -> None:
    """Between its steps, a revocation is effective from the commit on, even if its process dies."""
    issued = known(log_in(user))
    sessions = [issued.family.pk] if what == "session" else []
    jtis = [token_of(issued).jti] if what == "token" else []
    backend.deny(
        Denial(user_id=user.pk, session_ids=sessions, jtis=jtis, whole_user=what == "user")
    )
    assert refusal_of(issued) is None
    RefreshTokenFamily.objects.update(revoked_at=datetime.now(UTC))
    assert refusal_of(issued) is Refusal.SESSION_ENDED


@pytest.mark.parametrize("step", ["deny", "confirm"])
@pytest.mark.parametrize("whole", [False, True])
def test_every_key_expires(
    user: AbstractBaseUser, backend: RedisRevocation, server: RedisServer, step: str, whole: bool
) -> None:
    """Even in the hash of a user who hasn't sent a request."""
    denial = Denial(user_id=user.pk, jtis=["a"], whole_user=whole)
    getattr(backend, step)(denial)
    (key,) = keys_of(server)
    assert 0 < server.run("PTTL", key) <= 60_000


def test_end_of_one_revocation_leaves_others_mark(
    user: AbstractBaseUser, backend: RedisRevocation, server: RedisServer
) -> None:
    """Even if its answer was lost and it is written twice."""
    issued = known(log_in(user))
    first, second = (Denial(user_id=user.pk, whole_user=True) for _ in range(2))
    for denial in (first, first, second):
        backend.deny(denial)
    for _ in range(2):
        backend.confirm(first)
        assert hash_of_user(server)[b"d"] == f"{second.id} ".encode()
    backend.confirm(second)
    assert b"d" not in hash_of_user(server)
    assert refusal_of(issued) is None


@contextmanager
def _snapshot() -> Iterator[None]:
    """A transaction that keeps seeing its first snapshot."""
    if connection.vendor == "sqlite":
        pytest.skip("a transaction that has read keeps everybody else from writing")
    connection.ensure_connection()
    wrapper: Any = connection
    if connection.vendor == "mysql":
        wrapper.isolation_level = "repeatable read"
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    else:
        from django.db.backends.postgresql.psycopg_any import IsolationLevel

        wrapper.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.connection.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with transaction.atomic():
            yield
    finally:
        connection.close()  # the next connection has the level of the settings again


def _elsewhere(work: Any) -> None:
    """Run it on a separate connection."""

    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(run).result()


def _expire(server: RedisServer) -> None:
    """Let the TTL pass."""
    server.run("FLUSHALL")


def _deny_many(user: AbstractBaseUser, expires_at: datetime, number: int) -> None:
    RevokedToken.objects.bulk_create(
        [
            RevokedToken(
                jti=f"jti-{count}",
                user_id=user.pk,
                revoked_at=datetime.now(UTC),
                expires_at=expires_at,
            )
            for count in range(number)
        ]
    )


# ---- Tenants


@pytest.mark.parametrize("everybodys", [False, True])
def test_denial_keeps_the_tenant_that_it_was_made_for(
    user: AbstractBaseUser,
    backend: RedisRevocation,
    server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    everybodys: bool,
) -> None:
    """The thread that writes the kept denials has another tenant, or none."""
    issued = known(log_in(user))
    (own,) = keys_of(server)
    denial = Denial(user_id=None if everybodys else user.pk, session_ids=[issued.family.pk])
    monkeypatch.setattr(connection, "schema_name", "acme", raising=False)
    backend.confirm(denial)
    assert keys_of(server) == [own]
    assert hash_of_user(server)[f"s:{issued.family.pk}".encode()] == b"1"


def test_denial_of_another_tenant_touches_nothing_here(
    user: AbstractBaseUser,
    backend: RedisRevocation,
    server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither the denial of a user with the same key, nor the denial of all users there."""
    issued = known(log_in(user))
    before = hash_of_user(server)
    with monkeypatch.context() as patch:
        patch.setattr(connection, "schema_name", "a*{me", raising=False)
        denials = [Denial(user_id=user.pk, whole_user=True), Denial(user_id=None)]
    denials.append(Denial(user_id=None, tenant="d*"))  # not the tenant "default"
    for denial in denials:
        backend.confirm(denial)
    assert server.run("HGETALL", backend.keys.of_user(user.pk)) == before
    assert refusal_of(issued) is None


def test_user_who_turns_out_to_be_inactive_is_answered_401(
    user: AbstractBaseUser, api: APIClient
) -> None:
    """Like every refused token, although the view had begun when the user was read."""
    issued = known(log_in(user))
    get_user_model()._default_manager.update(is_active=False)
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {issued.access_token.text}")
    answer = api.get("/api/auth/me/", secure=True)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
    assert 'error="invalid_token"' in answer["WWW-Authenticate"]


def test_denial_is_read_when_its_hour_comes_twice(
    user: AbstractBaseUser,
    backend: RedisRevocation,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without USE_TZ, its end has the name of a moment before the clocks were set back."""
    token = token_of(log_in(user))
    standing = find_standing(token)
    assert standing is not None
    settings.USE_TZ, settings.TIME_ZONE = False, "Europe/Berlin"
    back = datetime(2026, 10, 25, 1, tzinfo=UTC)
    end = back + timedelta(minutes=20)
    RevokedToken.objects.deny("second", user_id=user.pk, expires_at=end, now=back)

    class Then(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return back - timedelta(minutes=10)

    monkeypatch.setattr(module, "datetime", Then)
    assert "t:second" in backend.read_fields(standing, token)
