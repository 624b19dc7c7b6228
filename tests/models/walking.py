"""Walks every history of a model, the shortest first."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeVar

S = TypeVar("S")


def find_history(
    start: S,
    steps: Callable[[S], Iterable[tuple[str, S]]],
    violation: Callable[[S], str | None],
) -> str | None:
    """Return the shortest history that ends in a violation, as text; ``None`` if there isn't one.

    ``steps`` gives what can happen next in a state, each by its name; ``violation`` says what is
    wrong with a state, if anything is.
    """
    before: dict[S, tuple[S, str] | None] = {start: None}
    queue = deque([start])
    while queue:
        state = queue.popleft()
        wrong = violation(state)
        if wrong is not None:
            return f"{wrong}: {' / '.join(_path(state, before))}"
        for name, following in steps(state):
            if following not in before:
                before[following] = (state, name)
                queue.append(following)
    return None


def _path(state: S, before: dict[S, tuple[S, str] | None]) -> list[str]:
    path: list[str] = []
    while (step := before[state]) is not None:
        state, name = step
        path.insert(0, name)
    return path
