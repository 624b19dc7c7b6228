"""The hash of a user in Redis, as one request reads it, and what it says about a token."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from jwt_auth.exceptions import AccessTokenRefused, Refusal
from jwt_auth.tokens.claims import AccessToken

_LIVE: Final = b"0"
_REVOKED: Final = b"1"


class Verdict(Enum):
    """What the hash says about a token that it doesn't refuse."""

    GOOD = auto()
    #: It doesn't know the user, the session or the version: the authority has to be asked.
    INCOMPLETE = auto()
    #: A revocation is under way: only the authority knows whether it was committed.
    UNDECIDED = auto()


@dataclass(frozen=True, slots=True)
class UserHash:
    """The fields of the hash, each ``None`` if it isn't there."""

    version: bytes | None
    active: bytes | None
    run: bytes | None
    under_way: bytes | None
    lease: bytes | None
    session: bytes | None
    token: bytes | None

    @staticmethod
    def fields_for(token: AccessToken) -> tuple[str, ...]:
        """Name the fields to read, in the order of this class's."""
        return ("v", "a", "run", "d", "lease", f"s:{token.session_id}", f"t:{token.jti}")

    def judge(self, token: AccessToken, *, run: bytes) -> Verdict:
        """Judge a token by a hash that was read on the server with this ``run``.

        Raises:
            AccessTokenRefused: with the reason.
        """
        if self.version is None or self.run != run:
            return Verdict.INCOMPLETE
        if _REVOKED in (self.session, self.token):
            session_ended = self.session == _REVOKED
            raise AccessTokenRefused(
                Refusal.SESSION_ENDED if session_ended else Refusal.TOKEN_REVOKED
            )
        if self.session is None:
            return Verdict.INCOMPLETE
        if self.session != _LIVE or self.token is not None or self.under_way is not None:
            return Verdict.UNDECIDED
        known = int(self.version)
        if known < token.token_version:
            # Redis was not told of the new version: the revoker has died or is cut off from it. The
            # sessions go on after flows.revoke_access_tokens(), so the token may well be valid.
            return Verdict.INCOMPLETE
        if self.active != b"1":
            raise AccessTokenRefused(Refusal.USER_INACTIVE)
        if known > token.token_version:
            raise AccessTokenRefused(Refusal.TOKEN_VERSION)
        return Verdict.GOOD
