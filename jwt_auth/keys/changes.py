"""What has become of each key, between two rings or two moments, for the audit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from jwt_auth.keys.ring import KeyRing, KeyState

#: What is told of a key that has come into a state.
_ARRIVALS: Final = {
    KeyState.PUBLISHED: "published",
    KeyState.SIGNING: "activated",
    KeyState.VERIFYING: "superseded",
    KeyState.EXPIRED: "expired",
}

States = Mapping[str, KeyState]


def states(ring: KeyRing, now: datetime) -> States:
    """The state of each key, by its ``kid``."""
    return {key.kid: ring.state_of(key, now) for key in ring.keys}


def departures(before: States, after: States) -> list[str]:
    """The kids that are no longer in the ring."""
    return [kid for kid in before if kid not in after]


def arrivals(before: States, after: States, *, new_keys: bool = True) -> Iterator[tuple[str, str]]:
    """Event and ``kid`` of each key whose state is another one; with ``new_keys`` also of those
    that were not in the ring.
    """
    for kid, state in after.items():
        if state != before.get(kid) and (new_keys or kid in before):
            yield _ARRIVALS[state], kid
