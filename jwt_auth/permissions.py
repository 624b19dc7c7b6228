"""Permissions by the roles and claims of an access token.

They look at the token, not at the database: a role that was taken away from a user is accepted
until the next refresh.
"""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from jwt_auth.tokens.claims import AccessToken


def requires_role(*roles: str) -> type[BasePermission]:
    """Return a permission class for tokens that have at least one of ``roles``."""

    class RequiresRole(BasePermission):
        def has_permission(self, request: Request, view: APIView) -> bool:
            token = request.auth
            return isinstance(token, AccessToken) and not set(roles).isdisjoint(token.roles)

    return RequiresRole


def requires_claim(name: str, *values: Any) -> type[BasePermission]:
    """Return a permission class for tokens that carry the claim ``name``.

    If ``values`` are given, the claim must be equal to one of them. A value may be a callable: it
    takes the request and returns the value to compare with, such as the tenant that the request is
    for (``requires_claim("tenant", tenant_of)``).
    """

    class RequiresClaim(BasePermission):
        def has_permission(self, request: Request, view: APIView) -> bool:
            token = request.auth
            if not isinstance(token, AccessToken) or name not in token.claims:
                return False
            claim = token.claims[name]
            return not values or any(
                claim == (value(request) if callable(value) else value) for value in values
            )

    return RequiresClaim
