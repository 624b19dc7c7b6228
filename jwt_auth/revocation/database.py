"""Revocation answered by the database: immediate and correct on any number of processes, without a
cache.
"""

from __future__ import annotations

from django.contrib.auth.base_user import AbstractBaseUser

from jwt_auth.exceptions import AccessTokenRefused, Refusal
from jwt_auth.revocation.base import RevocationBackend
from jwt_auth.revocation.lookup import Standing, find_standing
from jwt_auth.tokens.claims import AccessToken


class DatabaseRevocation(RevocationBackend):
    """One SELECT brings the user and the verdict together."""

    def get_user(self, token: AccessToken) -> AbstractBaseUser:
        return judge(find_standing(token), token)


def judge(standing: Standing | None, token: AccessToken) -> AbstractBaseUser:
    """Give the user if the database has nothing against the token.

    Raises:
        AccessTokenRefused: with the reason.
    """
    standing = require_active(standing)
    if standing.token_version != token.token_version:
        raise AccessTokenRefused(Refusal.TOKEN_VERSION)
    # A session that is not there is as good as ended: rows outlive every token of theirs.
    if not standing.session_is_live:
        raise AccessTokenRefused(Refusal.SESSION_ENDED)
    if standing.token_is_revoked:
        raise AccessTokenRefused(Refusal.TOKEN_REVOKED)
    return standing.user


def require_active(standing: Standing | None) -> Standing:
    """Give the standing of a user who is there and active.

    Raises:
        AccessTokenRefused: ``USER_UNKNOWN`` or ``USER_INACTIVE``.
    """
    if standing is None:
        raise AccessTokenRefused(Refusal.USER_UNKNOWN)
    if not standing.user.is_active:
        raise AccessTokenRefused(Refusal.USER_INACTIVE)
    return standing
