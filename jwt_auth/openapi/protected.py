"""Describe what JWTAuthentication and the policies answer in a project's own views.

A project sets ``DEFAULT_SCHEMA_CLASS = "jwt_auth.openapi.protected.ProtectedSchema"`` in
``REST_FRAMEWORK``, with this package's ``EXCEPTION_HANDLER``, whose errors have a ``code``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ComponentRegistry
from rest_framework import status
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import NOT, AllowAny, IsAuthenticated

from jwt_auth.conf import conf
from jwt_auth.http.authentication import JWTAuthentication
from jwt_auth.http.policies import Not
from jwt_auth.openapi.responses import DESCRIPTIONS, details_of, refusal_schema
from jwt_auth.openapi.schemas import TEXT

_COOKIE_CODES: Final = ["cross_site_request", "csrf_failed"]


class ProtectedSchema(AutoSchema):
    """drf-spectacular's, with the 401, 403 and 503 of views behind ``JWTAuthentication``.

    A status that the view's own ``@extend_schema`` describes stays as it is.
    """

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: ComponentRegistry
    ) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(
            path, path_regex, path_prefix, method, registry
        )
        if operation is not None and self._takes_tokens():
            for number, details in self._refusals().items():
                operation["responses"].setdefault(str(number), _response(number, details))
        return operation

    def _takes_tokens(self) -> bool:
        authenticators = self.view.get_authenticators()
        return any(isinstance(each, JWTAuthentication) for each in authenticators)

    def _refusals(self) -> dict[int, dict[str, str]]:
        """Map each status to its codes, and each code to its text."""
        permissions = self.view.get_permissions()
        is_open = all(isinstance(each, AllowAny) for each in permissions)
        unauthorized = ["invalid_token"] if is_open else ["not_authenticated", "invalid_token"]
        forbidden = {code: text for each in permissions for code, text in _answers_of(each)}
        if conf.access_cookie_name is not None:
            codes = ["cross_site_request"] if self.method == "GET" else _COOKIE_CODES
            forbidden |= details_of(status.HTTP_403_FORBIDDEN, codes)
        refusals: dict[int, dict[str, str]] = {
            number: details_of(number, codes)
            for number, codes in (
                (status.HTTP_401_UNAUTHORIZED, unauthorized),
                (status.HTTP_503_SERVICE_UNAVAILABLE, ["unavailable"]),
            )
        }
        if forbidden:
            refusals[status.HTTP_403_FORBIDDEN] = forbidden
        return refusals


def _answers_of(permission: Any, *, is_negated: bool = False) -> Iterator[tuple[str, str]]:
    """List code and text of each refusal of a valid token, by a permission or by a part of it."""
    if isinstance(permission, (AllowAny, IsAuthenticated)):
        return
    parts: dict[str, Any] = vars(permission)
    operands = [parts[name] for name in ("op1", "op2") if name in parts]
    for operand in operands:
        is_other = is_negated != isinstance(permission, (NOT, Not))
        yield from _answers_of(operand, is_negated=is_other)
    if not operands:
        answer = getattr(permission, "exclusion", None) if is_negated else permission
        code, text = (getattr(answer, name, None) for name in ("code", "message"))
        yield code or PermissionDenied.default_code, str(text or PermissionDenied.default_detail)


def _response(number: int, details: Mapping[str, str]) -> dict[str, Any]:
    examples = {code: {"value": {"detail": text, "code": code}} for code, text in details.items()}
    content = {"schema": refusal_schema(tuple(details)), "examples": examples}
    response: dict[str, Any] = {
        "description": DESCRIPTIONS[number],
        "content": {"application/json": content},
    }
    if number == status.HTTP_401_UNAUTHORIZED:
        response["headers"] = {"WWW-Authenticate": {"schema": TEXT, "required": True}}
    return response
