"""What a project may put into an access token: the claims of a session, and ``JWT_AUTH_CLAIMS``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any, Final

from jwt_auth.exceptions import ClaimsInvalid
from jwt_auth.tokens.claims import RESERVED

#: The sources of claims, as error messages name them.
SETTING: Final = "JWT_AUTH_CLAIMS"
SESSION: Final = "The session's claims"

#: How deep values may be nested. MySQL stores 100 levels, and Python reads some hundreds.
_DEEPEST: Final = 32

#: The integers that every database keeps exactly: MySQL makes others floats.
_INTEGERS: Final = range(-(2**63), 2**63)


def require_claims(
    claims: object, *, source: str, reserved: frozenset[str] = RESERVED
) -> Mapping[str, Any]:
    """Return a copy of ``claims`` if they can be put into a token.

    Raises:
        ClaimsInvalid: it isn't a mapping, takes a reserved name, or holds a value or name that JSON
            has no form for. The text says which source is at fault, and quotes no value.
    """
    if not isinstance(claims, Mapping):
        raise ClaimsInvalid(f"{source} must be a dict.")
    # Read once: a mapping that is computed could name others after it has been judged.
    claims = dict(claims)
    if not reserved.isdisjoint(claims):
        raise ClaimsInvalid(f"{source} may not set {sorted(reserved & set(claims))}.")
    for name, value in claims.items():
        # json.dumps() would write the name 1 as "1". A token with a name twice is refused.
        fault = "a name that is not a string" if not isinstance(name, str) else _fault_of(value)
        if fault:
            raise ClaimsInvalid(f"{source}: the claim {name!r} has {fault}.")
    return claims


def require_storable(claims: Mapping[str, Any], *, source: str) -> dict[str, Any]:
    """Return a copy of such claims, as every database gives it back.

    Raises:
        ClaimsInvalid: PostgreSQL stores no NUL and no lone surrogate, and MySQL no larger integer.
    """
    for name, value in claims.items():
        if not all(map(_is_storable, (name, *_scalars(value)))):
            raise ClaimsInvalid(
                f"{source}: the claim {name!r} has a NUL, a lone surrogate or an integer of more "
                "than 64 bits, which not every database can store."
            )
    copy: dict[str, Any] = json.loads(json.dumps(claims))
    return copy


def size_of(claims: object) -> int:
    """The length of the claims as JSON, in bytes."""
    return len(json.dumps(claims, separators=(",", ":")))


class _NoFormError(Exception):
    """JSON has no form for a value; the text says what it is."""


def _fault_of(value: object) -> str:
    try:
        is_finite = all(not isinstance(each, float) or isfinite(each) for each in _scalars(value))
    except _NoFormError as error:
        return str(error)
    return "" if is_finite else "a number that JSON has no form for"


def _scalars(value: object, depth: int = 0) -> Iterator[object]:
    """Give the scalars in a value, and the names of its objects.

    Raises:
        _NoFormError: JSON has no form for something in it.
    """
    if depth > _DEEPEST:
        raise _NoFormError(f"a value of more than {_DEEPEST} levels")
    if isinstance(value, dict):
        for name, member in value.items():
            if not isinstance(name, str):
                raise _NoFormError("a name that is not a string")
            yield name
            yield from _scalars(member, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _scalars(item, depth + 1)
    elif value is None or isinstance(value, str | int | float):
        yield value
    else:
        raise _NoFormError(f"a value that JSON has no form for ({type(value).__name__})")


def _is_storable(value: object) -> bool:
    if isinstance(value, str):
        return not any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in value)
    return not isinstance(value, int) or value in _INTEGERS
