"""Whatever is done to the ring and whenever: one key signs, and no token is lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jwt_auth.keys.ring import KeyRing, KeyState

START = datetime(2030, 1, 1, tzinfo=UTC)
LIFETIME = timedelta(minutes=15)
RELOAD = timedelta(minutes=1)
AHEAD = timedelta(minutes=10)

#: Minutes that pass, then what an operator does.
STEPS = st.lists(
    st.tuples(
        st.integers(0, 40), st.sampled_from(["publish", "rotate", "activate", "retire", "nothing"])
    ),
    max_size=12,
)
KIDS = count()

#: An example that takes long says something of the machine, and nothing of the ring.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def with_key(ring: KeyRing, now: datetime, ahead: timedelta) -> KeyRing:
    jwk = {"kid": f"key-{next(KIDS)}", "alg": "ES256"}
    return ring.with_next_key(jwk, now, now + ahead, LIFETIME + RELOAD)


def apply(ring: KeyRing, step: str, now: datetime) -> KeyRing:
    waiting = ring.find_waiting(now)
    if step == "retire":
        return ring.retired(now)
    if step == "activate" and waiting is not None:
        return ring.with_activated(waiting.kid, now)
    if step in ("publish", "rotate") and waiting is None:
        return with_key(ring, now, AHEAD if step == "publish" else timedelta(0))
    return ring


@unhurried
@given(steps=STEPS, moment=st.integers(0, 600))
def test_any_history_leaves_exactly_one_signing_key(
    steps: list[tuple[int, str]], moment: int
) -> None:
    """At any moment, also before and long after."""
    ring, now = with_key(KeyRing(version=0), START, timedelta(0)), START
    for minutes, step in steps:
        now += timedelta(minutes=minutes)
        ring = apply(ring, step, now)
        for later in (now, now + timedelta(minutes=moment)):
            states = [ring.state_of(key, later) for key in ring.keys]
            assert states.count(KeyState.SIGNING) == 1
            assert ring.signing_key(later) in ring.verifying_keys(later)


@unhurried
@given(steps=STEPS, ages=st.lists(st.integers(0, 60), min_size=12, max_size=12))
def test_token_verifies_until_its_exp_whatever_follows(
    steps: list[tuple[int, str]], ages: list[int]
) -> None:
    """Also one that a process signed with a copy of the ring up to a reload interval old."""
    ring, now = with_key(KeyRing(version=0), START, timedelta(0)), START
    history = [(START, ring)]
    tokens: list[tuple[str, datetime]] = []
    for (minutes, step), age in zip(steps, ages, strict=False):
        now += timedelta(minutes=minutes)
        ring = apply(ring, step, now)
        history.append((now, ring))
        loaded_at = max(now - timedelta(seconds=age), START)
        copy = next(past for since, past in reversed(history) if since <= loaded_at)
        tokens.append((copy.signing_key(now).kid, now + LIFETIME))
        # Each token is last looked at a moment before its end, or now.
        for kid, over_at in tokens:
            if now < over_at:
                verifying = ring.verifying_keys(over_at - timedelta(microseconds=1))
                assert kid in {key.kid for key in verifying}
