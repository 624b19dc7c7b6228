"""What an error report shows of an error: the local variables on the way to it."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from typing import Any

from jwt_auth.keys.jwk_format import is_symmetric
from jwt_auth.keys.pem import jwk_to_pem


def shown_of(error: BaseException) -> list[str]:
    """The variables in the frames of its traceback, and of the errors that it came from, as texts.

    Those of the tests themselves are left out.
    """
    return [
        f"{frame.f_code.co_name}: {name} = {value!r}"
        for each in _with_origins(error)
        for frame, _line in traceback.walk_tb(each.__traceback__)
        if not frame.f_globals["__name__"].startswith("tests.")
        for name, value in frame.f_locals.items()
    ]


def _with_origins(error: BaseException) -> Iterator[BaseException]:
    waiting: list[BaseException | None] = [error]
    seen: list[BaseException] = []
    while waiting:
        each = waiting.pop()
        if each is not None and each not in seen:
            seen.append(each)
            yield each
            waiting += [each.__cause__, each.__context__]


def pem_mark(jwk: Mapping[str, Any]) -> set[str]:
    """A line of a private key's PEM: however the text is quoted, its lines stay whole."""
    return set() if is_symmetric(jwk["alg"]) else {jwk_to_pem(jwk).decode().splitlines()[1]}
