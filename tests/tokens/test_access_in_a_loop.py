"""Access tokens verified in an event loop, which nothing may block."""

from __future__ import annotations

from datetime import timedelta
from time import monotonic
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync
from blockbuster import blockbuster_ctx

from jwt_auth.exceptions import AccessTokenRefused, Refusal
from jwt_auth.keys import cache
from jwt_auth.keys.cache import WouldWait
from jwt_auth.tokens import access
from jwt_auth.tokens.claims import AccessToken
from tests.keys.reloading import Clock, finish_reloads
from tests.tokens.forging import NOW, SESSION, Forge


@pytest.fixture
def token() -> str:
    return access.issue(
        subject="1",
        session_id=UUID(SESSION),
        token_version=0,
        roles=[],
        auth_time=int(NOW.timestamp()),
        own_claims={},
        expires_at=NOW + timedelta(minutes=15),
        now=NOW,
    ).text


def _verify_at_once(token: str) -> AccessToken:
    """Verify it where there is no loop and no thread that could be waited for."""
    with pytest.raises(StopIteration) as ended:
        access.averify(token, now=NOW).send(None)
    verified: AccessToken = ended.value.value
    return verified


@pytest.mark.parametrize("requests", [1, 2])
def test_known_key_needs_no_thread(token: str, requests: int) -> None:
    """Neither at the token's first request nor later."""
    for _ in range(requests):
        assert _verify_at_once(token).subject == "1"


def test_first_load_of_the_keys_is_in_a_thread(token: str) -> None:
    """The store may be slow."""
    cache.reset()

    async def verify() -> AccessToken:
        with blockbuster_ctx():
            return await access.averify(token, now=NOW)

    assert async_to_sync(verify)().subject == "1"


def test_unknown_key_is_looked_for_in_a_thread(token: str, forge: Forge) -> None:
    """It may be new."""
    strange = forge.token(header=forge.header(kid="another"))

    async def verify() -> None:
        with blockbuster_ctx():
            await access.averify(strange, now=NOW)

    with pytest.raises(AccessTokenRefused) as refused:
        async_to_sync(verify)()
    assert refused.value.reason is Refusal.UNKNOWN_KEY


@pytest.mark.parametrize("is_remembered", [False, True])
def test_old_copy_of_the_keys_is_renewed_in_a_thread(
    token: str, is_remembered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an idle interval, a request has to wait for the load; from half of it on, none has."""
    access.verify(token, now=NOW) if is_remembered else cache.get_ring()
    finish_reloads()
    clock = Clock()
    start = clock.time = monotonic()
    monkeypatch.setattr(cache, "monotonic", clock)
    clock.time = start + 31
    assert _verify_at_once(token).subject == "1"
    finish_reloads()
    clock.time = start + 31 + 61
    with pytest.raises(WouldWait):
        access.verify(token, now=NOW, may_wait=False)
