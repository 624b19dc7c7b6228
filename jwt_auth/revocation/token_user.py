"""The user of a token where the users aren't in this project's database (``JWT_AUTH_JWKS_URL``).

``request.user`` is then made from the token's claims, or is a local user that the callable of
``JWT_AUTH_LOCAL_USER`` finds for the token.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

from django.contrib.auth.base_user import AbstractBaseUser
from django.utils.module_loading import import_string

from jwt_auth.conf import conf
from jwt_auth.exceptions import AccessTokenRefused, Refusal
from jwt_auth.tokens.claims import RESERVED, AccessToken


class TokenUser:
    """A user who is known by a token only. The project's own claims are its attributes.

    No claim can replace an attribute that is defined here, and none makes the user a staff member
    or a superuser. A name without a claim raises ``AttributeError``. There is nothing to save.
    """

    is_authenticated: Final = True
    is_anonymous: Final = False
    #: The issuer gives no token to an inactive user.
    is_active: Final = True
    is_staff: Final = False
    is_superuser: Final = False

    def __init__(self, token: AccessToken) -> None:
        self._token = token

    @property
    def pk(self) -> str:
        """The ``sub`` claim: the text of the user's key at the issuer."""
        return self._token.subject

    @property
    def id(self) -> str:
        return self.pk

    @property
    def roles(self) -> tuple[str, ...]:
        return self._token.roles

    def get_username(self) -> str:
        """The claim ``username``, if the issuer's project adds it, otherwise the ``sub``."""
        name = self._own_claims.get("username")
        return name if isinstance(name, str) else self.pk

    @classmethod
    def get_email_field_name(cls) -> str:
        """Name the claim with the address; a token may not have it."""
        return "email"

    # ---- Django's permissions, which are in the issuer's database

    def has_perm(self, perm: str, obj: object = None) -> bool:
        return False

    def has_perms(self, perm_list: object, obj: object = None) -> bool:
        return False

    def has_module_perms(self, app_label: str) -> bool:
        return False

    def get_user_permissions(self, obj: object = None) -> set[str]:
        return set()

    def get_group_permissions(self, obj: object = None) -> set[str]:
        return set()

    def get_all_permissions(self, obj: object = None) -> set[str]:
        """Return nothing; a template that shows ``perms`` asks."""
        return set()

    # The same, as Django's decorators ask before an async view.

    async def ahas_perm(self, perm: str, obj: object = None) -> bool:
        return False

    async def ahas_perms(self, perm_list: object, obj: object = None) -> bool:
        return False

    async def ahas_module_perms(self, app_label: str) -> bool:
        return False

    async def aget_user_permissions(self, obj: object = None) -> set[str]:
        return set()

    async def aget_group_permissions(self, obj: object = None) -> set[str]:
        return set()

    async def aget_all_permissions(self, obj: object = None) -> set[str]:
        return set()

    # ---- Claims

    @cached_property
    def _own_claims(self) -> Mapping[str, Any]:
        claims = self._token.claims
        return {name: value for name, value in claims.items() if name not in RESERVED}

    def __getattr__(self, name: str) -> Any:
        # No claim has a name that Python's protocols look for. Copies and unpickled instances are
        # asked for such names before they have a token.
        if not name.startswith("_") and name in self._own_claims:
            return self._own_claims[name]
        raise AttributeError(f"The token of this user has no claim {name!r} of the project.")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TokenUser):
            return NotImplemented
        return self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[str, str]:
        return self._token.issuer, self.pk

    def __str__(self) -> str:
        return self.get_username()

    def __repr__(self) -> str:
        return f"<TokenUser {self.pk}>"


def user_of(token: AccessToken) -> AbstractBaseUser | TokenUser:
    """Return the token's user without asking who has revoked what.

    Raises:
        AccessTokenRefused: ``USER_UNKNOWN`` or ``USER_INACTIVE``, for a local user only.
    """
    if conf.local_user is None:
        return TokenUser(token)
    user: AbstractBaseUser | None = import_string(conf.local_user)(token)
    if user is None:
        raise AccessTokenRefused(Refusal.USER_UNKNOWN)
    if not user.is_active:
        raise AccessTokenRefused(Refusal.USER_INACTIVE)
    return user
