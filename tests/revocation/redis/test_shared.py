"""A service that reads the issuer's Redis, and asks the issuer where Redis has no answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from pytest_django import DjangoAssertNumQueries, Settings
from redis import exceptions
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from jwt_auth import flows
from jwt_auth.exceptions import AccessTokenRefused, Refusal, RevocationUnknown
from jwt_auth.flows import Issued
from jwt_auth.http.api_exceptions import Unavailable
from jwt_auth.http.authentication import JWTAuthentication
from jwt_auth.models import Reason
from jwt_auth.revocation.base import Denial
from jwt_auth.revocation.redis import RedisRevocation, SharedRedis
from jwt_auth.revocation.redis.circuit_breaker import State
from jwt_auth.revocation.redis.keys import IssuerKeys, Keys
from jwt_auth.revocation.token_user import TokenUser
from tests.checks.scene import advice_of, ids_of
from tests.conftest import MakeUser
from tests.flows.scene import authenticate, log_in
from tests.http.site import Site
from tests.keys.remote.service import Answer, Service
from tests.revocation.mapping import everyone_is
from tests.revocation.redis.issuer import serving_verify
from tests.revocation.redis.scene import (
    cache_at,
    commands_of,
    end,
    known,
    log_out_everywhere,
    state_of,
    token_of,
    trust_at_once,
)
from tests.revocation.redis.servers import PATIENT, RedisServer, demoted, free_port

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.redis, pytest.mark.sql]

SHARED = "jwt_auth.revocation.redis.SharedRedis"


@pytest.fixture
def issuer(backend: RedisRevocation) -> Iterator[Service]:
    """The issuer, whose backend the settings name."""
    with serving_verify() as service:
        yield service


def options_of(settings: Settings, issuer: Service, **changes: Any) -> dict[str, Any]:
    """The options of a service that shares the issuer's cache."""
    own = {
        "VERIFY_URL": f"http://127.0.0.1:{issuer.port}/api/auth/verify/",
        "VERIFY_TIMEOUT": PATIENT,
    }
    return {**settings.JWT_AUTH_REVOCATION["OPTIONS"], **own, **changes}


@pytest.fixture
def service(settings: Settings, issuer: Service) -> SharedRedis:
    """The other service."""
    return SharedRedis(**options_of(settings, issuer))


@pytest.fixture
def asked(issuer: Service) -> Callable[[], int]:
    """How often the issuer has been asked since the last call."""

    def count() -> int:
        number = len(issuer.requests)
        issuer.requests.clear()
        return number

    return count


def refusal_at(service: SharedRedis, issued: Issued) -> Refusal | None:
    try:
        user = service.get_presented_user(token_of(issued), issued.access_token.text)
    except AccessTokenRefused as refused:
        return refused.reason
    assert isinstance(user, TokenUser)
    assert user.pk == str(issued.family.user_id)
    return None


def _deny(issued: Issued) -> None:
    token, now = token_of(issued), datetime.now(UTC)
    user_id = issued.family.user_id
    flows.deny_token(token.jti, user_id=user_id, expires_at=token.expires_at, now=now)


def _end_everything() -> None:
    flows.end_all_sessions(reason=Reason.KEY_COMPROMISE, client=None, now=datetime.now(UTC))


def _deactivate(issued: Issued) -> None:
    issued.family.user.is_active = False
    issued.family.user.save()


# ---- What Redis knows


def test_known_session_costs_one_command(
    service: SharedRedis,
    user: AbstractBaseUser,
    server: RedisServer,
    asked: Callable[[], int],
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    """Neither SQL nor a question to the issuer, and nothing is written."""
    issued = known(log_in(user))
    with commands_of(server) as commands, django_assert_num_queries(0):
        assert refusal_at(service, issued) is None
    assert (commands, asked()) == (["hmget"], 0)


def test_unknown_session_is_known_after_one_question(
    service: SharedRedis, user: AbstractBaseUser, asked: Callable[[], int]
) -> None:
    """The issuer's own request completes the hash."""
    issued = log_in(user)
    assert (refusal_at(service, issued), asked()) == (None, 1)
    assert (refusal_at(service, issued), asked()) == (None, 0)


@pytest.mark.user_model
@pytest.mark.parametrize(
    ("revoke", "reason"),
    [
        (end, Refusal.SESSION_ENDED),
        (_deny, Refusal.TOKEN_REVOKED),
        (lambda issued: log_out_everywhere(issued.family.user), Refusal.REFUSED_BY_ISSUER),
        (lambda issued: _end_everything(), Refusal.REFUSED_BY_ISSUER),
        (_deactivate, Refusal.REFUSED_BY_ISSUER),
        (lambda issued: issued.family.user.delete(), Refusal.REFUSED_BY_ISSUER),
    ],
    ids=["session", "token", "user", "everything", "deactivated", "deleted"],
)
def test_revoked_token_is_refused_by_the_next_request(
    service: SharedRedis, user: AbstractBaseUser, revoke: Callable[[Issued], None], reason: Refusal
) -> None:
    """Immediately, as at the issuer."""
    issued = log_in(user)
    assert refusal_at(service, issued) is None
    revoke(issued)
    assert refusal_at(service, issued) is reason


def test_refused_session_is_known_as_well(
    service: SharedRedis, user: Any, asked: Callable[[], int]
) -> None:
    """After one question, it is refused without another."""
    issued = log_in(user)
    log_out_everywhere(user)
    known(log_in(type(user)._default_manager.get(pk=user.pk)))
    assert refusal_at(service, issued) is Refusal.REFUSED_BY_ISSUER
    asked()
    assert refusal_at(service, issued) is Refusal.SESSION_ENDED
    assert asked() == 0


# ---- What Redis doesn't know


@pytest.mark.parametrize("revoked", [False, True])
def test_issuer_is_asked_when_redis_has_lost_its_data(
    service: SharedRedis,
    user: AbstractBaseUser,
    server: RedisServer,
    asked: Callable[[], int],
    revoked: bool,
) -> None:
    """No revoked token is accepted, and no other is refused."""
    issued = known(log_in(user))
    if revoked:
        end(issued)
    server.run("FLUSHALL")
    expected = Refusal.REFUSED_BY_ISSUER if revoked else None
    assert (refusal_at(service, issued), asked()) == (expected, 1)


def test_issuer_is_asked_while_a_revocation_is_under_way(
    service: SharedRedis,
    user: AbstractBaseUser,
    backend: RedisRevocation,
    asked: Callable[[], int],
) -> None:
    """Only the issuer's database knows whether it was committed."""
    issued = known(log_in(user))
    backend.deny(Denial(user_id=user.pk, session_ids=[issued.family.pk]))
    assert (refusal_at(service, issued), asked()) == (None, 1)
    other = known(log_in(user))
    backend.deny(Denial(user_id=user.pk, whole_user=True))
    assert (refusal_at(service, other), asked()) == (None, 1)


def test_issuer_is_asked_while_redis_is_not_trusted(
    service: SharedRedis,
    user: AbstractBaseUser,
    backend: RedisRevocation,
    server: RedisServer,
    asked: Callable[[], int],
    nobody_probes: None,
) -> None:
    """From the first failure on, and until every hash from before it has expired."""
    issued = known(log_in(user))
    with demoted(server):
        for each in (service, backend):
            each.client.renew()
        assert (refusal_at(service, issued), asked()) == (None, 1)
        service.circuit.tick()
        assert state_of(service.circuit) is State.OPEN
    service.circuit.tick()
    assert state_of(service.circuit) is State.HALF_OPEN
    known(issued)
    assert (refusal_at(service, issued), asked()) == (None, 1)
    trust_at_once(service.circuit)
    service.circuit.tick()
    trust_at_once(backend.circuit)
    for _ in range(2):
        backend.circuit.tick()
    known(issued)
    assert (refusal_at(service, issued), asked()) == (None, 0)


def test_redis_that_is_away_costs_one_question_per_request(
    user: AbstractBaseUser, settings: Settings, issuer: Service, nobody_probes: None
) -> None:
    """Without Redis, the issuer answers everything."""
    settings.CACHES = {**settings.CACHES, "away": cache_at(f"redis://127.0.0.1:{free_port()}/0")}
    lonely = SharedRedis(**options_of(settings, issuer, CACHE="away"))
    issued = log_in(user)
    assert [refusal_at(lonely, issued) for _ in range(2)] == [None, None]
    end(issued)
    assert refusal_at(lonely, issued) is Refusal.REFUSED_BY_ISSUER
    assert len(issuer.requests) == 3


# ---- When nobody knows


def test_issuer_that_is_away_is_no_reason_to_refuse(
    service: SharedRedis, user: AbstractBaseUser, issuer: Service
) -> None:
    """What Redis knows is answered as before. Anything else is neither accepted nor refused."""
    good, ended, unknown = known(log_in(user)), known(log_in(user)), log_in(user)
    end(ended)
    with issuer.being_away():
        assert refusal_at(service, good) is None
        assert refusal_at(service, ended) is Refusal.SESSION_ENDED
        with pytest.raises(RevocationUnknown):
            refusal_at(service, unknown)


@pytest.mark.parametrize("path", ["verify/", "/api/hello/"])
def test_answer_is_503_while_nobody_knows(
    user: AbstractBaseUser,
    settings: Settings,
    issuer: Service,
    path: str,
    log: pytest.LogCaptureFixture,
) -> None:
    """A 401 would log the client out. The log says why, without the token."""
    issued = log_in(user)
    settings.JWT_AUTH_REVOCATION = {"BACKEND": SHARED, "OPTIONS": options_of(settings, issuer)}
    issuer.always = Answer(status=500)
    text = issued.access_token.text
    answer = Site().get(path, headers={"Authorization": f"Bearer {text}"})
    assert (answer.status_code, "WWW-Authenticate" in answer) == (503, False)
    assert "answered 500 instead of 204 or 401" in log.text
    assert text not in log.text
    assert text not in answer.content.decode()


def test_views_of_other_exception_handlers_answer_503_as_well(
    user: AbstractBaseUser, settings: Settings, issuer: Service
) -> None:
    """REST framework's own handler knows only its own exceptions."""
    text = log_in(user).access_token.text
    settings.JWT_AUTH_REVOCATION = {"BACKEND": SHARED, "OPTIONS": options_of(settings, issuer)}
    request = APIRequestFactory().get("/", headers={"Authorization": f"Bearer {text}"})
    with issuer.being_away(), pytest.raises(Unavailable):
        JWTAuthentication().authenticate(Request(request))


def test_local_user_may_have_another_key(
    user: AbstractBaseUser, make_user: MakeUser, settings: Settings, issuer: Service
) -> None:
    """The issuer vouches for the token; the project's callable finds the user."""
    issued, local = log_in(user), make_user("local")
    issuer.always = Answer(status=204)
    settings.JWT_AUTH_REVOCATION = {"BACKEND": SHARED, "OPTIONS": options_of(settings, issuer)}
    settings.JWT_AUTH_LOCAL_USER = "tests.revocation.mapping.local_user"
    with everyone_is(local):
        assert authenticate(issued)[0] == local


def test_token_without_its_text_can_only_be_judged_by_redis(
    service: SharedRedis, user: AbstractBaseUser, asked: Callable[[], int]
) -> None:
    """The issuer can't be asked about it."""
    unknown = log_in(user)
    with pytest.raises(RevocationUnknown):
        service.get_user(token_of(unknown))
    assert service.get_user(token_of(known(unknown))).pk == str(user.pk)
    assert asked() == 0


# ---- Reading only

#: As documented.
_PAGE = Path(__file__).parents[3] / "docs/how-to/redis.md"
(READ_ONLY,) = re.findall(r"ACL SETUSER reader (on .+)", _PAGE.read_text())


def test_user_of_redis_who_may_only_read_is_enough(
    user: AbstractBaseUser,
    settings: Settings,
    issuer: Service,
    server: RedisServer,
    nobody_probes: None,
) -> None:
    """For requests, for an outage and for its end. Redis notes no refused command."""
    server.run("ACL", "SETUSER", "reader", "reset", *READ_ONLY.split())
    server.run("ACL", "LOG", "RESET")
    location = f"redis://reader:PASSWORD@127.0.0.1:{server.port}/0"
    settings.CACHES = {**settings.CACHES, "read-only": cache_at(location)}
    prefix = "jwt_auth:test"
    settings.JWT_AUTH_REVOCATION = {
        "BACKEND": "jwt_auth.revocation.redis.RedisRevocation",
        "OPTIONS": {**settings.JWT_AUTH_REVOCATION["OPTIONS"], "PREFIX": prefix},
    }
    service = SharedRedis(**options_of(settings, issuer, CACHE="read-only"))
    issued = known(log_in(user))
    assert refusal_at(service, issued) is None
    end(issued)
    assert refusal_at(service, issued) is Refusal.SESSION_ENDED
    assert issuer.requests == []
    service._fail(exceptions.TimeoutError("no answer in time"))
    trust_at_once(service.circuit)
    for _ in range(2):
        service.circuit.tick()
    assert state_of(service.circuit) is State.CLOSED
    assert refusal_at(service, issued) is Refusal.SESSION_ENDED
    assert server.run("ACL", "LOG") == []
    assert service.check_server() == []


def test_user_of_redis_who_may_not_read_is_an_outage(
    user: AbstractBaseUser,
    settings: Settings,
    issuer: Service,
    server: RedisServer,
    nobody_probes: None,
) -> None:
    """The probe reads as well, so that the circuit stays open, and W021 names the permission."""
    server.run("ACL", "SETUSER", "blind", "reset", "on", ">secret", "~*", "+ping", "+info")
    location = f"redis://blind:secret@127.0.0.1:{server.port}/0"
    settings.CACHES = {**settings.CACHES, "blind": cache_at(location)}
    service = SharedRedis(**options_of(settings, issuer, CACHE="blind"))
    assert refusal_at(service, log_in(user)) is None
    assert len(issuer.requests) == 1
    service.circuit.tick()
    assert state_of(service.circuit) is State.OPEN
    (message,) = service.check_server()
    assert message.id == "jwt_auth.W021"
    assert "hmget" in message.msg
    assert "permissions" in str(message.hint)


# ---- The names of the keys


@pytest.mark.user_model
def test_hash_has_the_same_name_at_both(user: AbstractBaseUser) -> None:
    """Whatever the issuer's keys are; the service may have other users, or none."""
    assert IssuerKeys(None).of_user(str(user.pk)) == Keys(None).of_user(user.pk)
    assert IssuerKeys(None).probe() == Keys(None).probe()


@pytest.mark.parametrize("subject", ["7", "007", str(UUID(int=255)), UUID(int=255).hex, "Ä {b}"])
def test_name_has_the_key_as_the_issuer_has_spelt_it(subject: str) -> None:
    """This service's user model would read some of them as another key."""
    assert IssuerKeys("p").of_user(subject).decode() == f"p:1:default:{{{subject}}}"


def test_name_has_the_tenant_that_the_setting_names(settings: Settings) -> None:
    """By default it is that of an issuer with one database."""
    settings.DATABASE_ROUTERS = [f"{__name__}.Elsewhere"]
    assert IssuerKeys("p").of_user("7") == b"p:1:default:{7}"
    settings.JWT_AUTH_TENANT = f"{__name__}.tenant"
    assert IssuerKeys("p").of_user("7") == b"p:1:acme:{7}"


class Elsewhere:
    """Sends everything to another database."""

    def db_for_write(self, model: Any, **hints: Any) -> str:
        """Name a database that doesn't exist."""
        return "elsewhere"


def tenant() -> str:
    return "acme"


# ---- Checks


def messages_of(settings: Settings, issuer: Service, **changes: Any) -> list[Any]:
    settings.JWT_AUTH_JWKS_URL = "https://auth.example.com/.well-known/jwks.json"
    return SharedRedis(**options_of(settings, issuer, **changes)).check()


@pytest.mark.parametrize("url", ["http://auth.example.com/verify/", "/verify/", "", None, 5])
def test_wrong_address_of_the_issuer_is_an_error(
    settings: Settings, issuer: Service, url: Any
) -> None:
    """E086; the line of the hint is a good one."""
    (message,) = messages_of(settings, issuer, VERIFY_URL=url)
    assert message.id == "jwt_auth.E086"
    line = eval(f"{{{advice_of(message).removeprefix('Write ')}}}")
    assert messages_of(settings, issuer, **line) == []


def test_wrong_cache_is_an_error(settings: Settings, issuer: Service) -> None:
    """E028, as at the issuer."""
    assert ids_of(messages_of(settings, issuer, CACHE="missing")) == ["E028"]


def test_issuer_itself_must_not_ask_itself(service: SharedRedis) -> None:
    """E087: it would answer each of its questions with another one."""
    assert ids_of(service.check()) == ["E087"]


def test_servers_that_can_not_be_reached_are_warnings(settings: Settings, issuer: Service) -> None:
    """W021 says who answers meanwhile, and W087 that nobody would."""
    settings.CACHES = {**settings.CACHES, "away": cache_at(f"redis://127.0.0.1:{free_port()}/0")}
    service = SharedRedis(**options_of(settings, issuer, CACHE="away"))
    (message,) = service.check_server()
    assert message.id == "jwt_auth.W021"
    assert "Until it can, the issuer answers." in message.msg
    with issuer.being_away():
        assert ids_of(service.check_server()) == ["W021", "W087"]
