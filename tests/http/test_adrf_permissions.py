"""Policies in the views of adrf, which has REST framework's operators replaced by its own."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory, force_authenticate
from rest_framework.views import APIView

from jwt_auth.permissions import requires_role
from jwt_auth.tokens.claims import AccessToken
from tests.neighbours.packages import optional

AdrfView: Any = optional("adrf.views").APIView
AsyncBasePermission: Any = optional("adrf.permissions").AsyncBasePermission

GUEST, ADMIN = requires_role("guest"), requires_role("admin")


class Refusing(AsyncBasePermission):  # type: ignore[misc]  # adrf has no types
    async def has_permission(self, request: Any, view: Any) -> bool:
        return False


class Accepting(AsyncBasePermission):  # type: ignore[misc]  # adrf has no types
    """Decides nothing."""


def _token(*roles: str) -> AccessToken:
    fields = dict.fromkeys(AccessToken.__dataclass_fields__)
    given = {"session_id": UUID(int=1), "payload": json.dumps({}).encode(), "roles": roles}
    return AccessToken(**{**fields, **given})  # type: ignore[arg-type]  # only these are looked at


def _status(
    permission: Any,
    token: Any,
    *,
    base: Any = AdrfView,
    has_object: bool = True,
) -> int:
    class View(base):  # type: ignore[misc]  # either class of views
        permission_classes = [permission]

        def get(self, request: Any) -> Response:
            if has_object:
                self.check_object_permissions(request, object())
            return Response()

    request = APIRequestFactory().get("/")
    force_authenticate(request, user=get_user_model()(), token=token)
    status: int = View.as_view()(request).status_code
    return status


@pytest.mark.parametrize("has_object", [True, False])
@pytest.mark.parametrize("permission", [~GUEST, AllowAny & ~GUEST, ~GUEST & Accepting, ~~GUEST])
def test_negated_policy_needs_an_access_token(permission: Any, has_object: bool) -> None:
    """As in a view of REST framework's: a session cookie doesn't prove that a role is missing."""
    assert _status(permission, None, has_object=has_object) == 403


@pytest.mark.parametrize(
    ("permission", "roles", "status"),
    [
        (~GUEST, ["admin"], 200),
        (~GUEST, ["guest"], 403),
        (ADMIN & ~GUEST, ["admin"], 200),
        (ADMIN & ~GUEST, ["admin", "guest"], 403),
        (ADMIN | ~GUEST, ["admin", "guest"], 200),
        (~(ADMIN & GUEST), ["admin", "guest"], 403),
        (ADMIN & Refusing, ["admin"], 403),
        (ADMIN & Accepting, ["admin"], 200),
        (ADMIN | Refusing, ["guest"], 403),
        (Refusing | ADMIN, ["admin"], 200),
    ],
)
def test_compositions_decide_as_in_other_views(
    permission: Any, roles: list[str], status: int
) -> None:
    """Whether or not an async permission is among them."""
    assert _status(permission, _token(*roles)) == status


@pytest.mark.parametrize(
    "permission", [ADMIN & Refusing, GUEST | Refusing, ~(ADMIN & Refusing), ~(GUEST | Refusing)]
)
def test_async_permission_is_no_acceptance_elsewhere(permission: Any) -> None:
    """REST framework's views can't wait for its answer, and a coroutine is true."""
    with pytest.raises(TypeError, match="async permission"):
        _status(permission, _token("admin"), base=APIView)
