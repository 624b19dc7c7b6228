"""The answers that endpoints have in common: refusals, and the headers of all answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from rest_framework import exceptions

from jwt_auth.conf import conf
from jwt_auth.exceptions import (
    JWTAuthError,
    LogInRefused,
    NewPasswordRefused,
    OldPasswordRefused,
    OneTimeTokenRefused,
    RefreshSuperseded,
    RefreshTokenRefused,
    SessionNotFound,
)
from jwt_auth.http.api_exceptions import (
    BodyTooLarge,
    CrossSiteRequest,
    CSRFTokenRefused,
    InvalidToken,
    Unavailable,
)
from jwt_auth.http.service_clients import InvalidClient, InvalidRequest
from jwt_auth.http.views.denials import FeedOff
from jwt_auth.openapi.endpoints import Endpoint
from jwt_auth.openapi.schemas import Schema

DESCRIPTIONS: Final = {
    200: "Done.",
    202: "Accepted.",
    204: "Done. No body.",
    304: "Not modified.",
    400: "The request is not valid.",
    401: "The credentials are missing or refused.",
    403: "This is not allowed. The code says why.",
    404: "There is no such thing.",
    409: "The retry came too late: nothing has changed.",
    413: "The body has more than 16 KiB.",
    415: "The body is of another type.",
    429: "Too many attempts.",
    503: "The keys or the database are unavailable: nothing was decided.",
}

#: The codes of 400 that come with the messages of each field.
_WITH_ERRORS: Final = frozenset({"invalid", "password_refused"})

_API_EXCEPTIONS: Final[tuple[type[exceptions.APIException], ...]] = (
    exceptions.NotAuthenticated,
    exceptions.ParseError,
    exceptions.Throttled,
    BodyTooLarge,
    CSRFTokenRefused,
    CrossSiteRequest,
    FeedOff,
    InvalidClient,
    InvalidRequest,
    InvalidToken,
    Unavailable,
)
_ERRORS: Final[dict[int, tuple[type[JWTAuthError], ...]]] = {
    400: (NewPasswordRefused, OldPasswordRefused, OneTimeTokenRefused),
    401: (LogInRefused, RefreshTokenRefused),
    404: (SessionNotFound,),
    409: (RefreshSuperseded,),
}
_OTHERS: Final = {
    "invalid": "The request is not valid.",
    "unsupported_media_type": 'Unsupported media type "text/plain" in request.',
}


def refusals_of(
    endpoint: Endpoint, *, has_body: bool, is_cross_site_refused: bool, is_safe: bool
) -> dict[int, tuple[str, ...]]:
    """List the codes of all refusals of an endpoint, by status."""
    codes: dict[int, list[str]] = defaultdict(list)
    for status, own in endpoint.refusals.items():
        codes[status] += own
    is_service = endpoint.credential == "service"
    if has_body and not endpoint.ignores_broken_body:
        codes[400] += ["parse_error"] if is_service else ["invalid", "parse_error"]
        codes[415].append("unsupported_media_type")
    if has_body:
        codes[413].append("body_too_large")
    if endpoint.credential in {"bearer", "header"}:
        codes[401] += ["not_authenticated", "invalid_token"]
    if is_service:
        codes[401].append("invalid_client")
    takes_cookie = endpoint.credential in {"bearer", "any"} and conf.access_cookie_name is not None
    if is_cross_site_refused or takes_cookie:
        codes[403].append("cross_site_request")
    if takes_cookie and not is_safe:
        codes[403].append("csrf_failed")
    if endpoint.is_throttled or is_service:
        codes[429].append("throttled")
    if endpoint.needs_keys_or_database:
        codes[503].append("unavailable")
    return {status: tuple(codes[status]) for status in sorted(codes)}


def refusal_schema(codes: tuple[str, ...]) -> Schema:
    """Return the schema of one status' error body."""
    properties: dict[str, Schema] = {
        "detail": {"type": "string"},
        "code": {"type": "string", "enum": list(codes)},
    }
    if not _WITH_ERRORS.isdisjoint(codes):
        properties["errors"] = {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
            "description": "The messages of each field.",
        }
    return {"type": "object", "properties": properties, "required": ["detail", "code"]}


def details_of(status: int, codes: Iterable[str]) -> dict[str, str]:
    """Map each code of an answer to its text."""
    details = {
        **{each.default_code: each.default_detail for each in _API_EXCEPTIONS},
        **{each.code: each.message for each in _ERRORS.get(status, ())},
        **_OTHERS,
    }
    return {code: str(details[code]) for code in codes}


def refusal_example(status: int, code: str) -> dict[str, Any]:
    """Return an example of an error body."""
    example: dict[str, Any] = {"detail": details_of(status, [code])[code], "code": code}
    if code == "invalid":
        example["errors"] = {"password": ["This field is required."]}
    if code == "password_refused":
        example["errors"] = {"new_password": ["This password is too common."]}
    return example
