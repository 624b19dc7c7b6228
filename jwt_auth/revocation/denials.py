"""Everything that has been revoked lately, as the issuer tells it to services without its database.

This module is the form of that answer, for both sides: :mod:`jwt_auth.revocation.published` writes
it, :mod:`jwt_auth.revocation.deny_feed` reads it. It is a JSON object, and always holds everything
that is in force, so that nothing can be missed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from jwt_auth.exceptions import Refusal
from jwt_auth.tokens.claims import AccessToken


@dataclass(frozen=True, slots=True, kw_only=True)
class Denials:
    """What the issuer refuses. All times are of the issuer's clock, in seconds since the epoch."""

    #: When the issuer read this from its database.
    as_of: int
    #: How long an access token lives, in seconds. What was denied earlier than that has been left
    #: out, because the tokens concerned have expired.
    lifetime: int
    #: Every token that was issued then or before is refused.
    everyone: int | None = None
    #: For each ``sub``, the lowest token version that isn't refused; ``None`` if all are.
    users: Mapping[str, int | None]
    sessions: frozenset[str]
    tokens: frozenset[str]

    def find_refusal(self, token: AccessToken, *, now: float) -> Refusal | None:
        """Say why a verified token is refused; ``None`` if it isn't."""
        # The lifetime has been lowered since the token was issued, so the token may have been
        # denied longer ago than the issuer tells.
        if token.issued + self.lifetime < now:
            return Refusal.EXPIRED
        if token.subject in self.users:
            lowest = self.users[token.subject]
            if lowest is None:
                return Refusal.USER_UNKNOWN
            if token.token_version < lowest:
                return Refusal.TOKEN_VERSION
        # Up to the whole second of that time: it can't be known which of the two came first.
        is_before = self.everyone is not None and token.issued <= self.everyone
        if is_before or str(token.session_id) in self.sessions:
            return Refusal.SESSION_ENDED
        return Refusal.TOKEN_REVOKED if token.jti in self.tokens else None


def serialize(denials: Denials) -> dict[str, Any]:
    """Give the answer's JSON object."""
    return {
        "as_of": denials.as_of,
        "lifetime": denials.lifetime,
        "everyone": denials.everyone,
        "users": dict(sorted(denials.users.items())),
        "sessions": sorted(denials.sessions),
        "tokens": sorted(denials.tokens),
    }


_MEMBERS: Final = frozenset({"as_of", "lifetime", "everyone", "users", "sessions", "tokens"})


def parse(body: bytes) -> Denials:
    """Read the answer.

    Nothing in it may be overlooked: an answer with a member that is missing, or unknown to this
    version of the package, is refused as a whole.

    Raises:
        ValueError: it isn't such an object; the text quotes nothing of it.
    """
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("its answer is not JSON") from None
    if not isinstance(read, dict) or read.keys() != _MEMBERS or not _has_types(read):
        raise ValueError("its answer is not a list of denials that this version can read")
    return Denials(
        **{**read, "sessions": frozenset(read["sessions"]), "tokens": frozenset(read["tokens"])}
    )


def _has_types(read: dict[str, Any]) -> bool:
    # type(), not isinstance(): a JSON true is an int to Python.
    return (
        type(read["as_of"]) is int
        and type(read["lifetime"]) is int
        and type(read["everyone"]) in (int, type(None))
        and isinstance(read["users"], dict)
        and all(type(lowest) in (int, type(None)) for lowest in read["users"].values())
        and all(isinstance(read[name], list) for name in ("sessions", "tokens"))
        and all(isinstance(text, str) for text in (*read["sessions"], *read["tokens"]))
        and all(map(_is_session_id, read["sessions"]))
    )


def _is_session_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
