"""The claims of a session: given at the login, stored with it, in each of its access tokens.

Two of them say how the user was authenticated, and are the session's alone: ``amr``, the methods
(RFC 8176), and ``auth_time``, when (OpenID Connect Core §2). A later refresh changes neither.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from jwt_auth.conf import CLOCK_DIFFERENCE
from jwt_auth.exceptions import ClaimsInvalid
from jwt_auth.models import RefreshTokenFamily
from jwt_auth.tokens import jws
from jwt_auth.tokens.claims import AUTHENTICATION, RESERVED
from jwt_auth.tokens.own_claims import SESSION, require_claims, require_storable, size_of

logger: Final = logging.getLogger("jwt_auth")

_REFUSED: Final = RESERVED - AUTHENTICATION

#: The method of ``login/`` (RFC 8176 §2).
_PASSWORD: Final = "pwd"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionClaims:
    """The claims that a session's next access token has from the session."""

    auth_time: int
    amr: list[str] | None
    #: The project's own.
    others: Mapping[str, Any]

    @classmethod
    def of(cls, family: RefreshTokenFamily) -> Self:
        """Read those of a session, which may have been opened by an earlier version.

        A name that has been reserved since then is left out, with a warning: the session goes on.
        """
        stored = family.claims
        reserved = sorted(_REFUSED & stored.keys())
        if reserved:
            logger.warning("Session %s has claims that are now reserved: %s.", family.pk, reserved)
        return cls(
            auth_time=stored.get("auth_time", _seconds(family.created_at)),
            amr=stored.get("amr"),
            others={name: value for name, value in stored.items() if name not in RESERVED},
        )

    def all(self) -> dict[str, Any]:
        """Return a copy of all of them, whose changes don't change the session."""
        amr = {} if self.amr is None else {"amr": self.amr}
        return deepcopy({**self.others, **amr, "auth_time": self.auth_time})


def storable_claims(
    claims: Mapping[str, Any] | None, *, with_password: bool, user_id: Any, now: datetime
) -> dict[str, Any]:
    """Return the claims that a new session stores, from those that its opener gives.

    Raises:
        ClaimsInvalid: they can't be stored or can't be put into a token.
    """
    given = require_claims({} if claims is None else claims, source=SESSION, reserved=_REFUSED)
    stored = require_storable(given, source=SESSION)
    if "amr" in stored:
        _require_methods(stored["amr"])
    elif with_password:
        stored["amr"] = [_PASSWORD]
    if "auth_time" in stored:
        stored["auth_time"] = _past_time(stored["auth_time"], now=now)
    # What is longer fits into no token. A callable that picks from it would still be given it.
    if (size := size_of(stored)) > jws.MAX_LENGTH:
        raise ClaimsInvalid(
            f"{SESSION} have {size} bytes for user {user_id}; {jws.MAX_LENGTH} is the limit."
        )
    return stored


def _require_methods(amr: object) -> None:
    if not (isinstance(amr, list) and amr and all(isinstance(each, str) and each for each in amr)):
        raise ClaimsInvalid(f'{SESSION}: "amr" must be a list of names, such as ["pwd", "otp"].')


def _past_time(auth_time: object, *, now: datetime) -> int:
    """Return ``auth_time``, or ``now`` if another clock, which took the time, is ahead."""
    latest = _seconds(now) + int(CLOCK_DIFFERENCE.total_seconds())
    # type(), not isinstance(): True is an int to Python.
    if type(auth_time) is not int or not 0 <= auth_time <= latest:
        raise ClaimsInvalid(
            f'{SESSION}: "auth_time" must be a time in the past, in whole seconds since 1970.'
        )
    return min(auth_time, _seconds(now))


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
