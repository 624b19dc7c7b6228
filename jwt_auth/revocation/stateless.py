"""No revocation of access tokens: for those who accept that one lives to its ``exp``.

Refresh tokens are revoked as ever, so a session still ends at its next refresh at the latest.
"""

from __future__ import annotations

from django.contrib.auth.base_user import AbstractBaseUser

from jwt_auth.exceptions import AccessTokenRefused, Refusal
from jwt_auth.revocation.base import RevocationBackend
from jwt_auth.revocation.database import require_active
from jwt_auth.revocation.lookup import find_standing
from jwt_auth.tokens.claims import AccessToken


class NoRevocation(RevocationBackend):
    """Loads the user, and refuses only one who is gone or inactive, or of another tenant."""

    def get_user(self, token: AccessToken) -> AbstractBaseUser:
        standing = require_active(find_standing(token))
        if not standing.session_is_known:
            # Opened in another database or schema, for whoever has this key there.
            raise AccessTokenRefused(Refusal.SESSION_ENDED)
        return standing.user
