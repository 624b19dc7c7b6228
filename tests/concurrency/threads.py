"""Calls that really run at once, each with a database connection of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

from django.db import connections

Result = TypeVar("Result")


def at_once(calls: Iterable[Callable[[], Result]]) -> list[Result]:
    """Start all calls at one moment and give their results; what one raises is raised here."""
    waiting = list(calls)
    start = Barrier(len(waiting))

    def run(call: Callable[[], Result]) -> Result:
        try:
            try:
                connections["default"].ensure_connection()
            except BaseException:
                start.abort()  # the others would wait for this one for ever
                raise
            start.wait()
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(max_workers=len(waiting)) as pool:
        return list(pool.map(run, waiting))
