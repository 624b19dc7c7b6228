"""Errors whose tracebacks hold no private keys.

If a key store or a parser fails, private keys are local variables in the frames of the error's
traceback, and in those of the errors that it came from. Error reports show such variables (Django's
with ``include_html``, Sentry). So the boundary raises the same error anew, without those frames.
Its text says all that there is to know.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

E = TypeVar("E", bound=Exception)
P = ParamSpec("P")
T = TypeVar("T")


def anew(error: E) -> E:
    """Copy an error with its class, text and attributes, and without traceback, cause and context.

    Raise the copy outside of the ``except`` block, which would make the former error its context.
    """
    # Not by calling the class: its arguments may be others than those in ``args``.
    fresh = type(error).__new__(type(error), *error.args)
    fresh.__dict__.update(error.__dict__)
    return fresh


def raised_anew(*kinds: type[Exception]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Raise a function's errors of these kinds anew. Their texts must be safe to show."""

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
