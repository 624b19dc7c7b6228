"""No revocation of access tokens, for projects that accept that a token is valid until its ``exp``.

Refresh tokens are revoked as with every backend, so a session ends at its next refresh at the
latest.
"""

from __future__ import annotations

from django.contrib.auth.base_user import AbstractBaseUser

from jwt_auth.conf import conf
from jwt_auth.exceptions import AccessTokenRefused, Refusal
from jwt_auth.revocation.base import RevocationBackend
from jwt_auth.revocation.lookup import find_owner
from jwt_auth.revocation.token_user import TokenUser, user_of
from jwt_auth.tokens.claims import AccessToken


class NoRevocation(RevocationBackend):
    """Loads the user, and refuses only a user who is deleted, inactive or another tenant's.

    With ``JWT_AUTH_JWKS_URL`` the users and sessions are in the issuer's database, and none is
    loaded.
    """

    @property
    def maps_users(self) -> bool:
        return conf.jwks_url is not None

    def get_user(self, token: AccessToken) -> AbstractBaseUser | TokenUser:
        return user_of(token) if self.maps_users else _get_owner(token)


def _get_owner(token: AccessToken) -> AbstractBaseUser:
    owner = find_owner(token)
    if owner is None:
        raise AccessTokenRefused(Refusal.USER_UNKNOWN)
    if not owner.user.is_active:
        raise AccessTokenRefused(Refusal.USER_INACTIVE)
    if not owner.session_is_known:
        # Opened in another tenant's database or schema, where another user has the same key.
        raise AccessTokenRefused(Refusal.SESSION_ENDED)
    return owner.user
