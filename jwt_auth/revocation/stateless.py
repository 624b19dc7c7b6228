"""No revocation of access tokens, for projects that accept that a token is valid until its ``exp``.

Refresh tokens are revoked as with every backend, so a session ends at its next refresh at the
latest.
"""

from __future__ import annotations

from django.contrib.auth.base_user import AbstractBaseUser

from jwt_auth.exceptions import AccessTokenRefused, Refusal
from jwt_auth.revocation.base import RevocationBackend
from jwt_auth.revocation.lookup import find_owner
from jwt_auth.tokens.claims import AccessToken


class NoRevocation(RevocationBackend):
    """Loads the user, and refuses only a user who is deleted, inactive or another tenant's."""

    def get_user(self, token: AccessToken) -> AbstractBaseUser:
        owner = find_owner(token)
        if owner is None:
            raise AccessTokenRefused(Refusal.USER_UNKNOWN)
        if not owner.user.is_active:
            raise AccessTokenRefused(Refusal.USER_INACTIVE)
        if not owner.session_is_known:
            # Opened in another tenant's database or schema, where another user has the same key.
            raise AccessTokenRefused(Refusal.SESSION_ENDED)
        return owner.user
