"""Issue what a login, a refresh or a password change returns: an access token and a refresh
token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from inspect import signature
from typing import Any, Self

from django.contrib.auth.base_user import AbstractBaseUser
from django.utils.module_loading import import_string

from jwt_auth.conf import conf
from jwt_auth.exceptions import ClaimsInvalid
from jwt_auth.flows.session_claims import SessionClaims
from jwt_auth.models import RefreshTokenFamily, groups_of, has_groups, token_version_of
from jwt_auth.tokens import access
from jwt_auth.tokens.access import IssuedAccessToken
from jwt_auth.tokens.claims import AUTHENTICATION
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
    user, session = family.user, SessionClaims.of(family)
    session_claims, own_claims = _claims_of(user, session)
    return access.issue(
        subject=str(family.user_id),
        session_id=family.pk,
        token_version=token_version_of(user),
        roles=roles_of(user),
        auth_time=session.auth_time,
        amr=session.amr,
        session_claims=session_claims,
        own_claims=own_claims,
        expires_at=min(now + conf.access_token_lifetime, family.absolute_expires_at),
        now=now,
    )


def roles_of(user: AbstractBaseUser) -> list[str]:
    """The user's roles, from the callable ``JWT_AUTH_ROLES`` if it is set, or from their groups.

    Raises:
        ClaimsInvalid: the project's callable returned something other than a list of strings.
    """
    if conf.roles is not None:
        returned = import_string(conf.roles)(user)
        roles = list(returned)
        # A string is a list of strings to Python: "admin" would become five roles.
        if isinstance(returned, str) or not all(isinstance(role, str) for role in roles):
            raise ClaimsInvalid("JWT_AUTH_ROLES must return a list of strings.")
        return roles
    if not has_groups(type(user)):
        return []
    # Groups that load() hasn't brought are read from the write database: a replica may still show a
    # role that was taken away.
    return sorted(group.name for group in groups_of(user))


def _claims_of(
    user: AbstractBaseUser, session: SessionClaims
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the claims that come from the session, and those that come from the project."""
    if conf.claims is None:
        return session.others, {}
    claims_of = import_string(conf.claims)
    if not _takes_session_claims(conf.claims):
        return session.others, claims_of(user)
    claims = claims_of(user, session_claims=session.all())
    if isinstance(claims, Mapping):
        # It may pass on how the user was authenticated. Any other value is refused.
        known = [(name, value) for name, value in session.all().items() if name in AUTHENTICATION]
        claims = {name: value for name, value in claims.items() if (name, value) not in known}
    return {}, claims


@lru_cache(maxsize=8)
def _takes_session_claims(path: str) -> bool:
    """Look at the callable's signature once. Each look takes as long as 6 % of a refresh."""
    try:
        return "session_claims" in signature(import_string(path)).parameters
    except ValueError:
        return False  # some callables of C, such as dict, tell no signature
