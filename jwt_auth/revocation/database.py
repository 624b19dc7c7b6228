"""Revocation answered by the database: immediate and correct with any number of processes, and no
cache is needed.
"""

from __future__ import annotations

from django.contrib.auth.base_user import AbstractBaseUser

from jwt_auth.exceptions import AccessTokenRefused, Refusal
from jwt_auth.revocation.base import RevocationBackend
from jwt_auth.revocation.lookup import Standing, find_standing
from jwt_auth.tokens.claims import AccessToken


class DatabaseRevocation(RevocationBackend):
    """One SELECT brings the user together with everything that can revoke the token."""

    def get_user(self, token: AccessToken) -> AbstractBaseUser:
        return verify_standing(find_standing(token), token)


def verify_standing(standing: Standing | None, token: AccessToken) -> AbstractBaseUser:
    """Return the user unless the database has a reason to refuse the token.

    Raises:
        AccessTokenRefused: with that reason.
    """
    if standing is None:
        raise AccessTokenRefused(Refusal.USER_UNKNOWN)
    if not standing.user.is_active:
        raise AccessTokenRefused(Refusal.USER_INACTIVE)
    if standing.token_version != token.token_version:
        raise AccessTokenRefused(Refusal.TOKEN_VERSION)
    # A missing session is treated like one that has ended: rows outlive all their tokens.
    if not standing.session_is_live:
        raise AccessTokenRefused(Refusal.SESSION_ENDED)
    if standing.token_is_revoked:
        raise AccessTokenRefused(Refusal.TOKEN_REVOKED)
    return standing.user
