"""Errors that leave the private keys behind.

What fails deep in a key store or a parser fails among private keys: they are local variables in the
frames of the error's traceback, and of the errors that it came from, and error reports show those
(Django's with ``include_html``, Sentry). So at the boundary the same error is raised anew; its text
says what there is to know.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

E = TypeVar("E", bound=Exception)
P = ParamSpec("P")
T = TypeVar("T")


def anew(error: E) -> E:
    """The same error, by class, text and attributes, that knows nothing of where it came from.

    To be raised outside of the ``except`` block: within it, the former one would be its context.
    """
    # Not by the class itself, which may take other arguments than those that it has handed on.
    fresh = type(error).__new__(type(error), *error.args)
    fresh.__dict__.update(error.__dict__)
    return fresh


def raised_anew(*kinds: type[Exception]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Have a function's errors of these kinds, whose texts are ours, raised anew."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return function(*args, **kwargs)
            except kinds as error:
                fresh = anew(error)
            del args, kwargs  # a key may be among them
            raise fresh

        return call

    return decorate
