"""Hooks for forked child processes, such as the workers of a server that loads the app first.

A child inherits its parent's locks and connections, but none of its other threads. A lock that one
of those threads held at the fork is never released in the child. On a shared connection, parent and
child read each other's answers. So each module that has one registers a hook that makes a new one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import count
from threading import Lock
from types import MethodType
from typing import Any, Final, TypeAlias
from weakref import ref

Hook: TypeAlias = Callable[[], None]

_numbers: Final = count()

#: In the order of registration. Each entry gives its hook, or ``None`` if the object has ended.
_hooks: Final[dict[int, Callable[[], Hook | None]]] = {}


def after_fork_in_child(hook: Hook) -> None:
    """Have every forked child call a function or method before it does anything else.

    The registration of a method does not keep its object alive.
    """
    number = next(_numbers)
    if isinstance(hook, MethodType):
        # Once the object is gone, this calls _hooks.pop(number, <the dead reference>). A WeakMethod
        # would report an error when the interpreter ends and clears both at the same time.
        owner = ref(hook.__self__, partial(_hooks.pop, number))
        _hooks[number] = partial(_bind, owner, hook.__func__)
    else:
        _hooks[number] = lambda: hook


def _bind(owner: ref[Any], function: Callable[..., None]) -> Hook | None:
    found = owner()
    return None if found is None else partial(function, found)


def renew_if_forked() -> None:
    """Call the hooks in a child whose fork Python has not noticed.

    uWSGI forks its workers in C, and runs Python's own hooks only if it is told to
    (``py-call-uwsgi-fork-hooks``).
    """
    if _pid != os.getpid():
        with _renewing:
            if _pid != os.getpid():
                _run_hooks()


def _run_hooks() -> None:
    global _pid  # noqa: PLW0603  one for the whole process
    hooks = [hook for find in list(_hooks.values()) if (hook := find()) is not None]
    # The stack calls the last one first, and calls all of them even if some raise. Python reports
    # the exception through sys.unraisablehook, and the child goes on.
    try:
        with ExitStack() as stack:
            for hook in reversed(hooks):
                stack.callback(hook)
    finally:
        _pid = os.getpid()  # a hook that fails is not called again at each request


def _run_hooks_in_child() -> None:
    global _renewing  # noqa: PLW0603  one for the whole process
    _renewing = Lock()  # a thread that the child doesn't have may hold the former one
    _run_hooks()


_pid = os.getpid()
_renewing = Lock()
os.register_at_fork(after_in_child=_run_hooks_in_child)
