"""The hooks that a forked child runs."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from jwt_auth import forks
from jwt_auth.forks import after_fork_in_child
from tests.keys.reloading import holds_in_child


class Renewed:
    """Counts how often it was renewed."""

    def __init__(self, calls: list[str], name: str) -> None:
        self.calls = calls
        self.name = name
        after_fork_in_child(self.renew)

    def renew(self) -> None:
        self.calls.append(self.name)
        if self.name == "broken":
            raise RuntimeError


@pytest.fixture
def _hooks_restored() -> Iterator[None]:
    """Forget the functions that a test registers, which would stay for the whole run."""
    former = dict(forks._hooks)
    yield
    forks._hooks.clear()
    forks._hooks.update(former)


@pytest.mark.usefixtures("_hooks_restored")
def test_child_runs_functions_and_methods_in_their_order() -> None:
    """A later one may use what an earlier one has renewed. The parent runs none of them."""
    calls: list[str] = []
    first = Renewed(calls, "first")
    after_fork_in_child(lambda: calls.append("second"))
    third = Renewed(calls, "third")
    assert holds_in_child(lambda: calls == ["first", "second", "third"])
    assert (first.calls, third.calls) == ([], [])


def test_object_is_not_kept_alive() -> None:
    """Each registration would otherwise keep one connection, and one entry, for good."""
    entries = len(forks._hooks)
    renewed = Renewed([], "short-lived")
    reference = weakref.ref(renewed)
    assert len(forks._hooks) == entries + 1
    del renewed
    gc.collect()
    assert reference() is None
    assert len(forks._hooks) == entries


def test_hook_that_fails_leaves_the_others_and_the_child_alone() -> None:
    """Python reports the failure. A lock that is not renewed would stop the child later."""
    calls: list[str] = []
    objects = [Renewed(calls, name) for name in ("first", "broken", "last")]
    reported: list[Any] = []

    def holds() -> bool:
        return calls == ["first", "broken", "last"] and reported == [RuntimeError]

    former = sys.unraisablehook
    sys.unraisablehook = lambda unraisable: reported.append(unraisable.exc_type)
    try:
        assert holds_in_child(holds)
    finally:
        sys.unraisablehook = former
    assert len(objects) == 3


def test_process_ends_without_a_word() -> None:
    """The interpreter clears objects and what refers to them in any order: that is no error."""
    script = "import django; django.setup(); from jwt_auth.keys import cache"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert ended.stderr == b""
