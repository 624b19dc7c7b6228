"""How often the key cache loads the ring for unknown kids or without a copy, and logs failures.

Neither asks a clock: the cache passes the time, by the monotonic clock.
"""

from __future__ import annotations

import logging
from typing import Final

logger: Final = logging.getLogger("jwt_auth")

#: Seconds between the first two loads for unknown kids.
_FIRST_PAUSE: Final = 1.0

#: Seconds between two log records about a store that fails.
_LOG_INTERVAL: Final = 60.0


class GrowingPauses:
    """How often a load may start that is likely to be in vain: for an unknown ``kid`` when the
    store can't say that it has changed, or when it has just failed to give the first copy.

    At first immediately, then after one second, two, four and so on, up to ``limit`` seconds. A
    load that is asked for after a quiet pause is a first one again.
    """

    def __init__(self) -> None:
        self._next = float("-inf")
        self._pause = _FIRST_PAUSE

    def may_load(self, now: float, *, limit: float) -> bool:
        if now < self._next:
            return False
        was_quiet = now >= self._next + self._pause
        self._pause = _FIRST_PAUSE if was_quiet else min(2 * self._pause, max(limit, _FIRST_PAUSE))
        self._next = now + self._pause
        return True


class StoreTrouble:
    """Logs that a store fails, once a minute, and that it has recovered, once."""

    def __init__(self) -> None:
        self._next = float("-inf")
        self._lasts = False

    def failed(self, now: float, origin: str, reason: str, *, is_stale: bool) -> None:
        self._lasts = True
        if now >= self._next:
            self._next = now + _LOG_INTERVAL
            logger.error(
                "The key ring could not be reloaded from %s, the former copy %s: %s",
                origin,
                "is too old to be used" if is_stale else "stays in use",
                reason,
            )

    def ended(self, origin: str) -> None:
        if self._lasts:
            logger.warning("The key ring was loaded from %s again.", origin)
        self._next, self._lasts = float("-inf"), False
