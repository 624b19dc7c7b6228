"""Deadlines that pass when a test says so: no test waits for one, and no busy machine meets it."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import count
from math import inf
from time import monotonic, sleep

import pytest

from jwt_auth.keys import bounded_call


def let_deadline_pass(patched: pytest.MonkeyPatch, *, after: Callable[[float], object]) -> None:
    """Have the deadline of each call pass as soon as this wait has ended, and not before.

    A call looks at the clock twice: when it begins, and when its thread has been started.
    """
    looks: defaultdict[int, Iterator[int]] = defaultdict(count)

    def look() -> float:
        if next(looks[threading.get_ident()]) % 2 == 0:
            return 0.0
        assert after(60) is not False
        return inf

    patched.setattr(bounded_call, "monotonic", look)


def wait_until(condition: Callable[[], bool]) -> None:
    end = monotonic() + 60
    while not condition():
        assert monotonic() < end
        sleep(0.01)


def threads_of(name: str) -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == name}


def end(threads: set[threading.Thread]) -> None:
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
