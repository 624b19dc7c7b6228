"""What a forked child process renews: it has its parent's locks and connections, but no threads.

A lock that another thread held at the fork is never released in the child. On a connection that
both processes use, each reads the other's answers.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import count
from types import MethodType
from typing import Final, TypeAlias
from weakref import WeakMethod

Hook: TypeAlias = Callable[[], None]

_numbers: Final = count()

#: In the order of registration. Each entry gives its hook, or ``None`` once the object is gone.
_hooks: Final[dict[int, Callable[[], Hook | None]]] = {}


def after_fork_in_child(hook: Hook) -> None:
    """Have every forked child call a function or method before it does anything else.

    A method's object is not kept alive by this.
    """
    number = next(_numbers)
    if isinstance(hook, MethodType):
        # Once the object is gone, this calls _hooks.pop(number, <the dead reference>).
        _hooks[number] = WeakMethod(hook, partial(_hooks.pop, number))
    else:
        _hooks[number] = lambda: hook


def _run_hooks() -> None:
    hooks = [hook for find in list(_hooks.values()) if (hook := find()) is not None]
    # The stack calls all of them, the last one first, even if some raise. The child goes on after
    # that as well: Python hands the exception to sys.unraisablehook.
    with ExitStack() as stack:
        for hook in reversed(hooks):
            stack.callback(hook)


os.register_at_fork(after_in_child=_run_hooks)
