"""A bounded queue with a few threads, for work that a request must not wait for.

The threads are daemons: one that hangs doesn't keep the process from ending. When a process ends
gracefully, as a worker does that its server recycles, it waits for what it has accepted, but only
for a few seconds. A forked child begins with an empty queue, since its parent does the work.
"""

from __future__ import annotations

import atexit
import logging
import random
from collections import deque
from collections.abc import Callable
from threading import Condition, Thread
from time import monotonic
from typing import Final

from jwt_auth.forks import after_fork_in_child, renew_if_forked

logger: Final = logging.getLogger("jwt_auth")

#: Seconds that a process waits for its messages before it ends. Servers kill a worker that takes
#: longer than 10 (Docker) to 30 seconds (gunicorn, Kubernetes), and requests take some of that.
_EXIT_PATIENCE: Final = 5.0

#: Seconds before a thread begins, at least and at most. The threads share the interpreter with the
#: requests: work that begins at once would delay the answer to the request that caused it, and so
#: tell whether there is anything to do. The end of the delay can't be foreseen.
_DELAY: Final = (0.2, 1.0)

Call = Callable[[], None]


class QueueFull(Exception):
    """As many calls are waiting as the queue can hold."""


class BackgroundQueue:
    """Runs calls in the order in which they came, on at most ``threads`` daemon threads.

    The calls report their own errors.
    """

    def __init__(self, *, capacity: int, threads: int, name: str) -> None:
        self._capacity = capacity
        self._places = threads
        self._name = name
        self._renew()
        after_fork_in_child(self._renew)
        atexit.register(self._flush_before_exit)

    def _renew(self) -> None:
        #: The times from which on they may begin, and the calls, the oldest first.
        self._waiting: deque[tuple[float, Call]] = deque()
        self._running = 0
        self._threads = 0
        self._is_in_haste = False
        #: How many calls found the queue full.
        self.dropped = 0
        #: Guards all of the above, and tells of each change.
        self._changed = Condition()

    def put(self, call: Call) -> None:
        """Accept a call.

        Raises:
            QueueFull: too many calls are waiting.
            RuntimeError: the system refuses to start the first thread.
        """
        renew_if_forked()
        begin = monotonic() + random.uniform(*_DELAY)  # noqa: S311  no secret
        with self._changed:
            if len(self._waiting) >= self._capacity:
                self.dropped += 1
                raise QueueFull
            self._start_thread()
            self._waiting.append((begin, call))
            # All of them: a thread that waits for an earlier call's time doesn't take this one.
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Begin all calls without a delay, and wait for them; return whether none is left."""
        with self._changed:
            self._is_in_haste = True
            self._changed.notify_all()
            try:
                return self._changed.wait_for(self._is_idle, timeout=timeout)
            finally:
                self._is_in_haste = False

    def _is_idle(self) -> bool:
        return not self._waiting and not self._running

    def _start_thread(self) -> None:
        """Start a thread, unless there are enough; the caller holds the condition's lock."""
        if self._threads >= min(self._places, self._running + len(self._waiting) + 1):
            return
        try:
            Thread(target=self._work, name=self._name, daemon=True).start()
        except RuntimeError:
            if not self._threads:
                raise
            return  # the threads that there are will do it
        self._threads += 1

    def _work(self) -> None:
        try:
            while True:
                call = self._take()
                try:
                    call()
                finally:
                    del call  # an idle thread must not keep an address in memory
                    self._note_end()
        finally:
            with self._changed:
                self._threads -= 1

    def _take(self) -> Call:
        with self._changed:
            while not (self._waiting and self._may_begin()):
                self._changed.wait(self._seconds_to_wait())
            self._running += 1
            return self._waiting.popleft()[1]

    def _may_begin(self) -> bool:
        return self._is_in_haste or self._waiting[0][0] <= monotonic()

    def _seconds_to_wait(self) -> float | None:
        return max(0.0, self._waiting[0][0] - monotonic()) if self._waiting else None

    def _note_end(self) -> None:
        with self._changed:
            self._running -= 1
            self._changed.notify_all()

    def _flush_before_exit(self) -> None:
        if not self.flush(_EXIT_PATIENCE):
            logger.error(
                "The process ends, and %d messages have not been sent after %g seconds.",
                len(self._waiting) + self._running,
                _EXIT_PATIENCE,
            )
