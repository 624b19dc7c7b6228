"""The hooks that a forked child runs."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from jwt_auth import forks
from jwt_auth.forks import after_fork_in_child, renew_if_forked
from jwt_auth.keys.bounded_call import BoundedExecutor
from jwt_auth.revocation.base import get_backend
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
    gc.collect()  # what other tests have left behind
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


def test_child_of_a_fork_in_c_renews_itself_once() -> None:
    """Python does not notice the fork of uWSGI's workers, which lack their parent's threads."""
    calls: list[str] = []
    renewed = Renewed(calls, "renewed")
    executor = BoundedExecutor(1, name="parent")
    assert executor.call(lambda: "parent", seconds=60) == "parent"
    uses: list[Callable[[], object]] = [
        lambda: executor.call(lambda: "child", seconds=60),
        lambda: executor.submit(lambda: "child").result(60),
        get_backend,
    ]
    for use in uses:

        def holds(use: Callable[[], object] = use) -> bool:
            return use() == use() and renewed.calls == ["renewed"]

        assert holds_in_child(holds, fork=ctypes.CDLL(None).fork)
    assert calls == []


def test_hook_that_fails_after_a_fork_in_c_is_not_called_again() -> None:
    """It fails one request. Otherwise it would fail all of them."""
    renewed = Renewed([], "broken")

    def holds() -> bool:
        with pytest.raises(RuntimeError):
            renew_if_forked()
        renew_if_forked()
        return renewed.calls == ["broken"]

    assert holds_in_child(holds, fork=ctypes.CDLL(None).fork)


def test_child_has_a_free_lock_whoever_held_it_at_the_fork() -> None:
    """Another thread may renew what it uses at that moment. The child has no such thread."""

    def renews() -> bool:
        forks._pid = 0
        renew_if_forked()
        return forks._pid == os.getpid()

    with forks._renewing:
        assert holds_in_child(renews)


def test_thread_that_waited_for_the_renewal_does_not_repeat_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A second one would take away what the first thread has begun to use."""
    renewed = Renewed([], "renewed")

    @contextmanager
    def other_thread_renews_first() -> Iterator[None]:
        monkeypatch.setattr(forks, "_pid", os.getpid())
        yield

    monkeypatch.setattr(forks, "_pid", 0)
    monkeypatch.setattr(forks, "_renewing", other_thread_renews_first())
    renew_if_forked()
    assert forks._pid == os.getpid()
    assert renewed.calls == []


def test_process_ends_without_a_word() -> None:
    """The interpreter clears objects and what refers to them in any order: that is no error."""
    script = "import django; django.setup(); from jwt_auth.keys import cache"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert ended.stderr == b""
