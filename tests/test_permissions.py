"""Permissions by roles and claims of the token."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import AnonymousUser
from rest_framework.test import APIRequestFactory, force_authenticate
from rest_framework.views import APIView

from jwt_auth.permissions import requires_claim, requires_role
from jwt_auth.tokens.claims import AccessToken

pytestmark = pytest.mark.user_model


def _token(**claims: Any) -> AccessToken:
    fields = dict.fromkeys(AccessToken.__dataclass_fields__)
    given = {
        "session_id": UUID(int=1),
        "payload": json.dumps(claims).encode(),
        "roles": tuple(claims.get("roles", ())),
    }
    return AccessToken(**{**fields, **given})  # type: ignore[arg-type]  # only these are looked at


def _is_allowed(permission: Any, token: Any) -> bool:
    request = APIRequestFactory().get("/")
    force_authenticate(request, user=AnonymousUser(), token=token)
    return bool(permission().has_permission(APIView().initialize_request(request), APIView()))


@pytest.mark.parametrize(
    ("wanted", "roles", "expected"),
    [
        (["admin"], ["admin"], True),
        (["admin"], ["editor", "admin"], True),
        (["admin", "editor"], ["editor"], True),
        (["admin"], ["editor"], False),
        (["admin"], ["administrator"], False),
        (["admin"], [], False),
        ([], ["admin"], False),
    ],
)
def test_role_of_the_token_decides(wanted: list[str], roles: list[str], expected: bool) -> None:
    """One of those that are asked for is enough; a part of a name is none."""
    assert _is_allowed(requires_role(*wanted), _token(roles=roles)) is expected


@pytest.mark.parametrize(
    ("values", "claims", "expected"),
    [
        ((), {"tenant": "acme"}, True),
        ((), {"tenant": None}, True),
        ((), {}, False),
        (("acme", "other"), {"tenant": "acme"}, True),
        (("acme",), {"tenant": "acme corp"}, False),
        ((lambda request: request.path,), {"tenant": "/"}, True),
        ((lambda request: request.path,), {"tenant": "/acme/"}, False),
        (("acme",), {"tenant": ["acme"]}, False),
        (("acme",), {}, False),
    ],
)
def test_claim_of_the_token_decides(
    values: tuple[Any, ...], claims: dict[str, Any], expected: bool
) -> None:
    """Its presence, or its value where some are named or are read from the request."""
    assert _is_allowed(requires_claim("tenant", *values), _token(**claims)) is expected


@pytest.mark.parametrize("token", [None, "a string", {"roles": ["admin"], "claims": {"tenant": 1}}])
def test_other_authentication_has_no_roles(token: object) -> None:
    """A session cookie or another class's token says nothing that counts here."""
    assert not _is_allowed(requires_role("admin"), token)
    assert not _is_allowed(requires_claim("tenant"), token)
