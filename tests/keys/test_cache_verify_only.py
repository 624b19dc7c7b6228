"""The process's copy of another service's keys: how it is refreshed, and until when it is used."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from pytest_django import Settings

from jwt_auth.exceptions import (
    KeyFailure,
    KeyRingTorn,
    KeyStoreUnavailable,
    Refusal,
    VerifyOnly,
)
from jwt_auth.keys import cache
from jwt_auth.tokens import access
from tests.keys.issuer import Issuer
from tests.keys.reloading import Clock, count_waiting, finish_reloads, knows, said
from tests.keys.remote.service import Answer
from tests.live.waiting import wait_until
from tests.tokens.forging import refusal_of

HOUR = 3600.0

pytestmark = pytest.mark.usefixtures("issuer", "clock")


def is_good(token: str) -> bool:
    """Whether a request with the token is let in. Loads that it has started have ended."""
    refusal = refusal_of(token, now=datetime.now(UTC))
    finish_reloads()
    assert refusal in (None, Refusal.UNKNOWN_KEY)
    return refusal is None


def test_tokens_of_the_issuer_are_verified(issuer: Issuer) -> None:
    """With one fetch for any number of them."""
    assert all(is_good(issuer.token(sub=str(n))) for n in range(5))
    assert issuer.fetches == 1


def test_nothing_can_be_signed(issuer: Issuer) -> None:
    """The error says why. Nothing private was loaded."""
    with pytest.raises(VerifyOnly):
        cache.get_signing_key_and_end(datetime.now(UTC))
    assert all("d" not in key.jwk for key in cache.get_ring().keys)


def test_keys_are_published_again_as_they_are(issuer: Issuer) -> None:
    """For a service behind this one; nothing is added."""
    assert cache.get_jwk_set(datetime.now(UTC)) == {"keys": issuer.key_set()}


# ---- Changes at the issuer


def test_rotation_refuses_no_token(issuer: Issuer, clock: Clock) -> None:
    """The next key is known before the first token of it, or with it."""
    former = issuer.token()
    assert is_good(former)
    issuer.rotate()
    assert is_good(issuer.token())
    assert is_good(former)
    assert issuer.fetches == 2


def test_set_is_refreshed_from_half_the_interval_on(issuer: Issuer, clock: Clock) -> None:
    """In the background, before anyone needs it."""
    token = issuer.token()
    is_good(token)
    for seconds, fetches in ((29, 1), (1, 2), (29, 2), (1, 3)):
        clock.time += seconds
        assert is_good(token)
        assert issuer.fetches == fetches


def test_withdrawn_key_is_gone_after_the_interval(issuer: Issuer, clock: Clock) -> None:
    """Also for a token whose signature was verified before. No version holds the set back."""
    former = issuer.token()
    assert is_good(former)
    issuer.rotate(withdraws=True)
    clock.time += 60
    assert not is_good(former)
    assert is_good(issuer.token())


def test_former_set_that_comes_back_is_taken(issuer: Issuer, clock: Clock) -> None:
    """The issuer may have taken a change back, and it alone knows."""
    former, token = issuer.ring, issuer.token()
    is_good(token)
    issuer.rotate(withdraws=True)
    clock.time += 60
    assert not is_good(token)
    issuer.ring = former
    clock.time += 60
    assert is_good(token)


def test_storm_of_unknown_kids_is_a_handful_of_fetches(issuer: Issuer, clock: Clock) -> None:
    """Ten thousand in one interval. The pauses double, and the keys stay in use."""
    token, now = issuer.token(), datetime.now(UTC)
    is_good(token)
    for n in range(10_000):
        clock.time += 60 / 10_000
        assert not knows(f"made up {n}", now)
        if n % 1000 == 0:
            finish_reloads()
    assert is_good(token)
    assert issuer.fetches <= 9


def test_simultaneous_unknown_kids_are_one_fetch(issuer: Issuer) -> None:
    token, now = issuer.token(), datetime.now(UTC)
    is_good(token)
    with issuer.service.holding(), ThreadPoolExecutor(8) as pool:
        issuer.service.asked.clear()
        known = [pool.submit(knows, f"made up {n}", now) for n in range(100)]
        assert issuer.service.asked.wait(30)
        issuer.service.release()
        assert not any(each.result() for each in known)
    finish_reloads()
    assert issuer.fetches == 2


# ---- Answers that are no key set


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=500),
        Answer(body=b"<html>"),
        Answer(body=b"x" * 200_000),
        Answer(body=b'{"keys": []}'),
        Answer(status=302, headers={"Location": "file:///etc/passwd"}),
        Answer(body=b'{"keys": [', cut=5),
    ],
    ids=["500", "html", "huge", "empty", "file", "cut"],
)
def test_copy_stays_whatever_the_issuer_answers(
    issuer: Issuer, clock: Clock, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten minutes long. The log says so once a minute, and the issuer is asked twice."""
    token = issuer.token()
    is_good(token)
    issuer.service.always = answer
    for _ in range(120):
        clock.time += 5
        assert is_good(token)
    assert issuer.fetches == 21
    assert {"stays in use" in text for text in said(caplog)} == {True}
    assert 10 <= len(said(caplog)) <= 11
    issuer.service.always = None
    clock.time += 60
    assert is_good(token)
    assert "was loaded" in said(caplog)[-1]


# ---- The limit of staleness


def test_copy_is_used_until_it_is_too_old(
    issuer: Issuer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A day after the last load that succeeded, nobody knows which keys were withdrawn."""
    token, now = issuer.token(), datetime.now(UTC)
    is_good(token)
    issuer.service.away = True
    for _ in range(24):
        clock.time += HOUR
        assert is_good(token)
    clock.time += 1
    for ask in (lambda: access.verify(token, now=now), lambda: knows("made up", now)):
        with pytest.raises(KeyStoreUnavailable, match="longer than JWT_AUTH_JWKS_MAX_STALENESS"):
            ask()
    with pytest.raises(KeyStoreUnavailable):
        cache.get_jwk_set(now)
    clock.time += HOUR
    with pytest.raises(KeyStoreUnavailable):
        access.verify(token, now=now)
    finish_reloads()
    assert "the former copy is too old to be used" in said(caplog)[-1]


def test_service_recovers_with_the_issuer(issuer: Issuer, clock: Clock) -> None:
    token, now = issuer.token(), datetime.now(UTC)
    is_good(token)
    issuer.service.away = True
    clock.time += 25 * HOUR
    with pytest.raises(KeyStoreUnavailable):
        access.verify(token, now=now)
    issuer.service.away = False
    clock.time += 60
    assert is_good(token)


def test_limit_is_a_setting(issuer: Issuer, clock: Clock, settings: Settings) -> None:
    settings.JWT_AUTH_JWKS_MAX_STALENESS = timedelta(minutes=10)
    token, now = issuer.token(), datetime.now(UTC)
    is_good(token)
    issuer.service.away = True
    clock.time += 600
    assert is_good(token)
    clock.time += 1
    with pytest.raises(KeyStoreUnavailable):
        access.verify(token, now=now)


def test_idle_service_is_not_stale_if_the_issuer_answers(issuer: Issuer, clock: Clock) -> None:
    """Its first request after a long time waits for the load."""
    token = issuer.token()
    is_good(token)
    clock.time += 1000 * HOUR
    assert is_good(token)


# ---- Before the first copy


def test_service_without_keys_asks_at_growing_intervals(issuer: Issuer, clock: Clock) -> None:
    """Requests fail at once in between, with the reason, and don't wait for the issuer."""
    token, now = issuer.token(), datetime.now(UTC)
    issuer.service.always = Answer(body=b"<html>")
    for _ in range(60):
        with pytest.raises(KeyRingTorn, match="not a JSON object"):
            access.verify(token, now=now)
        clock.time += 1
    assert issuer.fetches == 9
    issuer.service.always = None
    clock.time += 10
    assert is_good(token)


def test_requests_wait_for_the_first_load_that_is_under_way(issuer: Issuer) -> None:
    """The pause is for loads that have failed."""
    token = issuer.token()
    with issuer.service.holding(), ThreadPoolExecutor(4, thread_name_prefix="request") as pool:
        requests = [pool.submit(access.verify, token, now=datetime.now(UTC)) for _ in range(4)]
        assert issuer.service.asked.wait(30)
        # The one that loads waits for the executor's thread, the others for that load.
        wait_until(lambda: count_waiting("request") == 4, "all wait")
        issuer.service.release()
        assert {request.result().kid for request in requests} == set(issuer.kids)
    assert issuer.fetches == 1


def test_pause_shares_the_reason_and_not_the_error(issuer: Issuer, clock: Clock) -> None:
    """A traceback must not grow from request to request."""
    errors = []
    issuer.service.away = True
    for _ in range(3):
        with pytest.raises(KeyFailure) as failed:
            cache.get_ring()
        errors.append(failed.value)
    assert issuer.fetches == 0
    assert len({str(error) for error in errors}) == 1
    assert len(set(map(id, errors))) == 3


def test_another_url_is_another_set(issuer: Issuer, settings: Settings) -> None:
    """No key of the former one stays."""
    token = issuer.token()
    assert is_good(token)
    other = Issuer()
    with other.service.running():
        settings.JWT_AUTH_JWKS_URL = other.url
        assert not is_good(token)
        assert is_good(other.token())
