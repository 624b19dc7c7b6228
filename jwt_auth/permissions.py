"""Policies: permissions that depend on the roles and claims of the access token.

They compose with each other and with REST framework's permissions by ``&``, ``|`` and ``~``, and
the code of a 403 says which one has refused. They look at the token, not at the database: a role
that was taken away from a user is accepted until the next refresh, or until
:func:`jwt_auth.flows.revoke_access_tokens` is called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from rest_framework.request import Request

from jwt_auth.http.policies import Answer, Policy
from jwt_auth.tokens.claims import AccessToken

__all__ = [
    "requires_any_role",
    "requires_claim",
    "requires_recent_login",
    "requires_role",
    "requires_scope",
]

#: For ``requires_claim``: the claim may have any value.
_ANY: Final = object()


def requires_role(role: str) -> type[Policy]:
    """Return a permission class for tokens that have this role."""
    return requires_any_role(role)


def requires_any_role(*roles: str) -> type[Policy]:
    """Return a permission class for tokens that have at least one of these roles."""
    names = _names(roles)

    class RequiresRole(Policy):
        refusal = Answer(
            "role_required", format_lazy(_("This requires the role {role}."), role=names)
        )
        exclusion = Answer(
            "role_forbidden", format_lazy(_("This isn't allowed with the role {role}."), role=names)
        )

        def accepts(self, token: AccessToken, request: Request) -> bool:
            return not set(roles).isdisjoint(token.roles)

    return RequiresRole


def requires_claim(name: str, value: Any | Callable[[Request], Any] = _ANY) -> type[Policy]:
    """Return a permission class for tokens that have the claim ``name``.

    If there is a ``value``, the claim must be equal to it, or be a list that contains it. A
    callable takes the request and returns the value, such as the tenant that the request is for
    (``requires_claim("tenant", tenant_of)``). If it returns ``None``, every token is refused.
    """
    text = format_lazy(
        _("The claim {claim} of the access token doesn't allow this."), claim=_names([name])
    )

    class RequiresClaim(Policy):
        refusal = Answer("claim_required", text)
        exclusion = Answer("claim_forbidden", text)

        def accepts(self, token: AccessToken, request: Request) -> bool:
            claims = token.claims
            if name not in claims or value is _ANY:
                return name in claims
            wanted = value(request) if callable(value) else value
            return wanted is not None and _matches(claims[name], wanted)

    return RequiresClaim


def requires_scope(*scopes: str) -> type[Policy]:
    """Return a permission class for tokens whose claim ``scope`` has all of these scopes.

    The claim is a string with spaces between the scopes (RFC 9068 §2.2.3, RFC 8693 §4.2).
    """
    names = _names(scopes)
    if any(" " in scope for scope in scopes):
        raise ValueError('Write requires_scope("read", "write"): a scope has no spaces.')

    class RequiresScope(Policy):
        refusal = Answer(
            "insufficient_scope", format_lazy(_("This requires the scope {scope}."), scope=names)
        )
        exclusion = Answer(
            "scope_forbidden",
            format_lazy(_("This isn't allowed with the scope {scope}."), scope=names),
        )

        def accepts(self, token: AccessToken, request: Request) -> bool:
            claim = token.claims.get("scope")
            return isinstance(claim, str) and set(scopes) <= set(claim.split(" "))

    return RequiresScope


def requires_recent_login(minutes: float = 10) -> type[Policy]:
    """Return a permission class for tokens of a login that was at most ``minutes`` ago.

    The claim ``auth_time`` says when that was: a refresh doesn't change it. A page that is refused
    asks the user for the password, logs in again, and repeats the request.
    """
    given: object = minutes  # perhaps a string, from an environment variable
    if not isinstance(given, int | float) or given <= 0:
        raise ValueError("requires_recent_login() needs a positive number of minutes.")

    class RequiresRecentLogin(Policy):
        refusal = Answer("recent_login_required", _("Log in again to do this."))
        exclusion = Answer("recent_login_forbidden", _("This isn't allowed right after a login."))

        def accepts(self, token: AccessToken, request: Request) -> bool:
            logged_in = token.claims.get("auth_time")
            if not isinstance(logged_in, int):
                return False
            return datetime.now(UTC).timestamp() - logged_in <= minutes * 60

    return RequiresRecentLogin


def _names(names: Sequence[object]) -> str:
    """Join names for a message.

    Raises:
        ValueError: there is none, or one is empty or not a string. A policy that asks for such a
            name would refuse every token.
    """
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError("A policy needs names: strings that are not empty.")
    return ", ".join(map(str, names))


def _matches(claim: Any, wanted: Any) -> bool:
    candidates = [claim, *claim] if isinstance(claim, list) else [claim]
    # In Python, True is equal to 1. In JSON it isn't.
    return any(
        each == wanted and isinstance(each, bool) == isinstance(wanted, bool) for each in candidates
    )
