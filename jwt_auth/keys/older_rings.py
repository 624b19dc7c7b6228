"""Whether a ring that is older than the one in use is taken (``docs/decisions/0028``).

From a replica that lags, or from a row that was put back, it would make a withdrawn key verify
again. An operator who restores a backup, or takes a change back, wants it to be used. A process
can't tell the two apart at once, so it waits for an interval.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from jwt_auth.conf import conf
from jwt_auth.keys.ring import KeyRing

logger: Final = logging.getLogger("jwt_auth")


@dataclass(frozen=True, slots=True, kw_only=True)
class OlderRing:
    """An older ring that was not taken, and since when the store has had such a ring."""

    ring: KeyRing
    #: By the monotonic clock.
    since: float


def find_refused(
    ring: KeyRing, *, held: KeyRing, former: OlderRing | None, origin: str, now: float
) -> OlderRing | None:
    """Give the ring as one that is not taken, or ``None`` if it is taken.

    An older ring is taken once the store has had an older one for an interval, be it this one or
    another. It is taken at once if it has a key that is younger than all keys in use: no replica
    can have that key from the past, so it was made after a restore, and keys that were withdrawn
    since then must stop verifying.
    """
    if ring.version >= held.version:
        return None
    if _newest(ring) > _newest(held):
        logger.error(
            "The key ring from %s has version %d, and %d was loaded before: the older one is taken"
            " at once, since it has a key that was made later.",
            origin,
            ring.version,
            held.version,
        )
        return None
    if former is None or former.ring != ring:
        logger.error(
            "The key ring from %s has version %d, and %d was loaded before, which stays in use: an"
            " older one is taken if there is one still after the reload interval.",
            origin,
            ring.version,
            held.version,
        )
    since = now if former is None else former.since
    is_confirmed = now - since >= conf.key_reload_interval.total_seconds()
    return None if is_confirmed else OlderRing(ring=ring, since=since)


def _newest(ring: KeyRing) -> datetime:
    return max(key.created_at for key in ring.keys)
