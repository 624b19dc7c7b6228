"""Issue what a login, a refresh or a password change returns: an access token and a refresh
token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from django.contrib.auth.base_user import AbstractBaseUser
from django.utils.module_loading import import_string

from jwt_auth.conf import conf
from jwt_auth.exceptions import ClaimsInvalid
from jwt_auth.models import RefreshTokenFamily, groups_of, has_groups, token_version_of
from jwt_auth.tokens import access
from jwt_auth.tokens.access import IssuedAccessToken
from jwt_auth.tokens.refresh import RefreshToken


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """The tokens that the client receives."""

    family: RefreshTokenFamily
    access_token: IssuedAccessToken
    refresh_token: RefreshToken
    #: Seconds until the refresh token expires: the cookie's ``Max-Age``.
    refresh_expires_in: int

    @classmethod
    def of(
        cls,
        family: RefreshTokenFamily,
        access_token: IssuedAccessToken,
        refresh_token: RefreshToken,
        *,
        now: datetime,
    ) -> Self:
        return cls(
            family=family,
            access_token=access_token,
            refresh_token=refresh_token,
            refresh_expires_in=int((family.expires_at - now).total_seconds()),
        )


def issue_access_token(family: RefreshTokenFamily, *, now: datetime) -> IssuedAccessToken:
    """Issue the session's next access token; it never outlives the session.

    Raises:
        ClaimsInvalid, KeyFailure: as :func:`jwt_auth.tokens.access.issue`.
    """
    user = family.user
    return access.issue(
        subject=str(family.user_id),
        session_id=family.pk,
        token_version=token_version_of(user),
        roles=roles_of(user),
        own_claims=_own_claims_of(user),
        expires_at=min(now + conf.access_token_lifetime, family.absolute_expires_at),
        now=now,
    )


def roles_of(user: AbstractBaseUser) -> list[str]:
    """The user's roles, from the callable ``JWT_AUTH_ROLES`` if it is set, or from their groups.

    Raises:
        ClaimsInvalid: the project's callable returned something other than a list of strings.
    """
    if conf.roles is not None:
        roles = list(import_string(conf.roles)(user))
        if not all(isinstance(role, str) for role in roles):
            raise ClaimsInvalid("JWT_AUTH_ROLES must return a list of strings.")
        return roles
    if not has_groups(type(user)):
        return []
    # Groups that load() hasn't brought are read from the write database: a replica may still show a
    # role that was taken away.
    return sorted(group.name for group in groups_of(user))


def _own_claims_of(user: AbstractBaseUser) -> Mapping[str, Any]:
    if conf.claims is None:
        return {}
    claims = import_string(conf.claims)(user)
    if not isinstance(claims, Mapping):
        raise ClaimsInvalid("JWT_AUTH_CLAIMS must return a dict.")
    return claims
