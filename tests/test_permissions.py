"""Policies: what each accepts, and which one a 403 names."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.utils import translation
from rest_framework.permissions import AllowAny, BasePermission, IsAdminUser, IsAuthenticated
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory, force_authenticate
from rest_framework.views import APIView

from jwt_auth.http.exception_handler import exception_handler
from jwt_auth.permissions import (
    requires_any_role,
    requires_claim,
    requires_recent_login,
    requires_role,
    requires_scope,
)
from jwt_auth.tokens.claims import AccessToken

pytestmark = [pytest.mark.user_model, pytest.mark.smoke]

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def _token(**claims: Any) -> AccessToken:
    fields = dict.fromkeys(AccessToken.__dataclass_fields__)
    given = {
        "session_id": UUID(int=1),
        "payload": json.dumps(claims).encode(),
        "roles": tuple(claims.get("roles", ())),
    }
    return AccessToken(**{**fields, **given})  # type: ignore[arg-type]  # only these are looked at


def _get(permission: Any, token: Any, *, obj: object | None = None) -> Response:
    """Ask a view with this permission; with an ``obj``, a view that asks about that, too."""

    class View(APIView):
        permission_classes = [permission]

        def get_exception_handler(self) -> Any:
            return exception_handler

        def get(self, request: Any) -> Response:
            if obj is not None:
                self.check_object_permissions(request, obj)
            return Response()

    request = APIRequestFactory().get("/")
    force_authenticate(request, user=get_user_model()(), token=token)
    response: Response = View.as_view()(request)
    return response


def _code(permission: Any, token: object, *, obj: object | None = None) -> str | None:
    """The code of the 403, or ``None`` where the request was let through."""
    response = _get(permission, token, obj=obj)
    if response.status_code == 200:
        return None
    assert response.status_code == 403
    code: str = response.data["code"]
    return code


def _is_allowed(permission: Any, token: object) -> bool:
    return _code(permission, token) is None


# Each policy


@pytest.mark.parametrize(
    ("wanted", "roles", "expected"),
    [
        (["admin"], ["admin"], True),
        (["admin"], ["editor", "admin"], True),
        (["admin", "editor"], ["editor"], True),
        (["admin"], ["editor"], False),
        (["admin"], ["administrator"], False),
        (["admin"], [], False),
    ],
)
def test_role_of_the_token_decides(wanted: list[str], roles: list[str], expected: bool) -> None:
    """One of several is enough; a part of a name is not."""
    assert _is_allowed(requires_any_role(*wanted), _token(roles=roles)) is expected


def test_one_role_is_required() -> None:
    """The code tells it from the other policies, the detail names the role."""
    assert _is_allowed(requires_role("admin"), _token(roles=["admin"]))
    refused = _get(requires_role("admin"), _token(roles=["editor"]))
    assert refused.data == {"detail": "This requires the role admin.", "code": "role_required"}


@pytest.mark.parametrize(
    ("values", "claims", "expected"),
    [
        ((), {"tenant": "acme"}, True),
        ((), {"tenant": None}, True),
        ((), {}, False),
        (("acme",), {"tenant": "acme"}, True),
        (("acme",), {"tenant": "acme corp"}, False),
        (("acme",), {}, False),
        (("acme",), {"tenant": ["other", "acme"]}, True),
        (("acme",), {"tenant": [["acme"]]}, False),
        ((["acme"],), {"tenant": ["acme"]}, True),
        ((True,), {"tenant": 1}, False),
        ((1,), {"tenant": [True]}, False),
        ((1,), {"tenant": 1.0}, True),
        ((lambda request: request.path,), {"tenant": "/"}, True),
        ((lambda request: request.path,), {"tenant": "/acme/"}, False),
        ((lambda request: None,), {"tenant": None}, False),
        ((None,), {"tenant": None}, False),
    ],
)
def test_claim_of_the_token_decides(
    values: tuple[Any, ...], claims: dict[str, Any], expected: bool
) -> None:
    """Its presence, or its value; a request without a tenant is not for users without one."""
    assert _is_allowed(requires_claim("tenant", *values), _token(**claims)) is expected


def test_refusal_for_a_claim_keeps_the_value_to_itself() -> None:
    """Another tenant's name would be news to the client."""
    refused = _get(requires_claim("tenant", "secret-customer"), _token(tenant="acme"))
    assert refused.data == {
        "detail": "The claim tenant of the access token doesn't allow this.",
        "code": "claim_required",
    }


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("read write", True),
        ("write read more", True),
        ("read", False),
        ("read writes", False),
        ("", False),
        (["read", "write"], False),
        (None, False),
    ],
)
def test_all_scopes_are_required(claim: object, expected: bool) -> None:
    """As RFC 6750 §3.1 names the refusal; the claim is one string with spaces."""
    code = _code(requires_scope("read", "write"), _token(scope=claim))
    assert code == (None if expected else "insufficient_scope")
    assert _code(requires_scope("read"), _token()) == "insufficient_scope"


@pytest.mark.parametrize(
    ("seconds_ago", "expected"), [(0, True), (600, True), (601, False), (-5, True)]
)
def test_login_has_to_be_recent(seconds_ago: int, expected: bool) -> None:
    """Ten minutes, and the moment itself counts."""
    token = _token(auth_time=int(NOON.timestamp()) - seconds_ago)
    with time_machine.travel(NOON, tick=False):
        code = _code(requires_recent_login(), token)
    assert code == (None if expected else "recent_login_required")


def test_other_times_than_ten_minutes_are_possible() -> None:
    """Also parts of a minute."""
    token = _token(auth_time=int(NOON.timestamp()) - 60)
    with time_machine.travel(NOON, tick=False):
        assert _is_allowed(requires_recent_login(minutes=1), token)
        assert not _is_allowed(requires_recent_login(minutes=0.5), token)


@pytest.mark.parametrize("auth_time", [None, True, "1767268800", 1767268800.0, [1767268800]])
def test_time_of_another_type_is_no_login(auth_time: object) -> None:
    """Only the issuer could have written it, but a policy must not fail with a 500."""
    with time_machine.travel(NOON, tick=False):
        assert not _is_allowed(requires_recent_login(), _token(auth_time=auth_time))
        assert not _is_allowed(requires_recent_login(), _token())


POLICIES = [
    requires_role("admin"),
    requires_claim("tenant"),
    requires_scope("read"),
    requires_recent_login(),
]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("token", [None, "a string", {"roles": ["admin"], "claims": {"tenant": 1}}])
def test_other_authentication_fulfils_no_policy(policy: Any, token: object) -> None:
    """A session cookie or another class's token says nothing about roles and claims.

    Nor does it prove that the user is without them, so the negation is refused as well.
    """
    assert not _is_allowed(policy, token)
    assert not _is_allowed(~policy, token)
    assert not _is_allowed(~(IsAdminUser & policy), token)


@pytest.mark.parametrize("names", [(), ("",), (None,), (["admin", "editor"],)])
def test_policy_without_names_is_an_error_at_once(names: tuple[Any, ...]) -> None:
    """A list instead of names would refuse everyone, and nobody would know why."""
    for make in (requires_any_role, requires_scope, requires_claim):
        if names or make is not requires_claim:
            with pytest.raises(ValueError, match="needs names"):
                make(*names)


def test_scopes_in_one_string_are_an_error_at_once() -> None:
    """No token has a scope with a space, so it would refuse everyone."""
    with pytest.raises(ValueError, match="a scope has no spaces"):
        requires_scope("read write")


@pytest.mark.parametrize("minutes", [0, -1, "10", None])
def test_login_can_not_be_more_recent_than_now(minutes: Any) -> None:
    """It would refuse everyone."""
    with pytest.raises(ValueError, match="positive number of minutes"):
        requires_recent_login(minutes=minutes)


# Compositions

ADMIN, TENANT = requires_role("admin"), requires_claim("tenant")
BOTH = _token(roles=["admin"], tenant="acme")
ADMIN_ONLY, TENANT_ONLY, NEITHER = _token(roles=["admin"]), _token(tenant="acme"), _token()


class Silent(BasePermission):
    """A project's permission that refuses and doesn't say why."""

    def has_permission(self, request: Any, view: APIView) -> bool:
        return False


class Outspoken(Silent):
    """One that says why."""

    code = "closed"
    message = "Closed."


@pytest.mark.parametrize("obj", [None, object()])
@pytest.mark.parametrize(
    ("permission", "token", "code"),
    [
        (ADMIN & TENANT, BOTH, None),
        (ADMIN & TENANT, ADMIN_ONLY, "claim_required"),
        (ADMIN & TENANT, TENANT_ONLY, "role_required"),
        (ADMIN & TENANT, NEITHER, "role_required"),
        (ADMIN | TENANT, ADMIN_ONLY, None),
        (ADMIN | TENANT, TENANT_ONLY, None),
        (ADMIN | TENANT, NEITHER, "role_required"),
        (~ADMIN, TENANT_ONLY, None),
        (~ADMIN, ADMIN_ONLY, "role_forbidden"),
        (~TENANT, TENANT_ONLY, "claim_forbidden"),
        (~requires_scope("read"), _token(scope="read"), "scope_forbidden"),
        (~~ADMIN, ADMIN_ONLY, None),
        (~~ADMIN, NEITHER, "role_required"),
        (~(ADMIN & TENANT), ADMIN_ONLY, None),
        (~(ADMIN & TENANT), BOTH, "role_forbidden"),
        (~(ADMIN | TENANT), NEITHER, None),
        (~(ADMIN | TENANT), TENANT_ONLY, "claim_forbidden"),
        (~(ADMIN & ~TENANT), BOTH, None),
        (~(ADMIN & ~TENANT), ADMIN_ONLY, "role_forbidden"),
        ((ADMIN | TENANT) & requires_scope("read"), BOTH, "insufficient_scope"),
        (ADMIN & TENANT | requires_scope("read"), NEITHER, "role_required"),
        # With permissions of others, on either side.
        (IsAuthenticated & ADMIN, NEITHER, "role_required"),
        (ADMIN & IsAuthenticated, NEITHER, "role_required"),
        (AllowAny | ADMIN, NEITHER, None),
        (IsAdminUser | ADMIN, NEITHER, "role_required"),
        (ADMIN | IsAdminUser, NEITHER, "role_required"),
        (ADMIN & Silent, ADMIN_ONLY, "permission_denied"),
        (ADMIN & Outspoken, ADMIN_ONLY, "closed"),
        (Outspoken | ADMIN, NEITHER, "closed"),
        (Silent | ADMIN, NEITHER, "role_required"),
        (~(AllowAny & ADMIN), ADMIN_ONLY, "role_forbidden"),
        (~(AllowAny | ADMIN), ADMIN_ONLY, "permission_denied"),
        (~(IsAdminUser & ADMIN), ADMIN_ONLY, None),
        ((IsAuthenticated & AllowAny) & (ADMIN & TENANT), ADMIN_ONLY, "claim_required"),
    ],
)
def test_composition_says_which_policy_refused(
    permission: Any, token: AccessToken, code: str | None, obj: object | None
) -> None:
    """A view that also asks about an object gets the same verdict."""
    assert _code(permission, token, obj=obj) == code


class OwnObject(BasePermission):
    """A project's permission that looks at the object."""

    code = "not_yours"

    def has_object_permission(self, request: Any, view: APIView, obj: Any) -> bool:
        return bool(obj == "mine")


@pytest.mark.parametrize(
    ("permission", "token", "obj", "code"),
    [
        (ADMIN & OwnObject, ADMIN_ONLY, "mine", None),
        (ADMIN & OwnObject, ADMIN_ONLY, "yours", "not_yours"),
        (ADMIN | OwnObject, NEITHER, "mine", None),
        (ADMIN | OwnObject, ADMIN_ONLY, "yours", None),
        (ADMIN | OwnObject, NEITHER, "yours", "role_required"),
        (Silent | OwnObject, NEITHER, "yours", "permission_denied"),
    ],
)
def test_object_is_looked_at_in_compositions(
    permission: Any, token: AccessToken, obj: str, code: str | None
) -> None:
    """An object permission decides about objects only; a policy decides about both."""
    assert _code(permission, token, obj=obj) == code


def test_request_without_a_token_is_not_authenticated() -> None:
    """401, as REST framework has it: the client has to log in, and no policy was asked."""

    class View(APIView):
        permission_classes = [~ADMIN]

    request = APIRequestFactory().get("/")
    assert View.as_view()(request).status_code == 401


def test_detail_is_in_the_language_of_the_request() -> None:
    """A policy is made once, at import, so its text must not be fixed then."""
    with translation.override("de"):
        german = _get(ADMIN, NEITHER).data
    assert german["code"] == "role_required"
    assert "admin" in german["detail"]
