"""The bodies of requests and answers: each with its schema and an example."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from drf_spectacular.utils import extend_schema_serializer
from rest_framework.serializers import BaseSerializer

from jwt_auth.http import serializers
from jwt_auth.openapi import schemas
from jwt_auth.openapi.schemas import Schema

_JWT: Final = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmF0dXJl"
_OPAQUE: Final = "AWQ1NjEwNDQ3NDU1NDU3ZTgxMTV0Yg"
_PASSWORD: Final = "correct horse battery staple"
_ID: Final = "fd561044-7455-457e-8115-74bfeabea269"


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A request's or an answer's body."""

    #: Of the schema's component.
    name: str
    #: A serializer, or a function that makes the schema.
    schema: type[BaseSerializer[Any]] | Callable[[], Schema]
    example: Any
    is_list: bool = False
    media_type: str | None = None
    #: Whether the component is written where it is used, because it has alternatives.
    is_inline: bool = False


def _from(
    serializer: type[BaseSerializer[Any]], name: str, example: Any, *, is_list: bool = False
) -> Body:
    extend_schema_serializer(component_name=name)(serializer)
    return Body(name=name, schema=serializer, example=example, is_list=is_list)


LOGIN: Final = _from(
    serializers.LoginSerializer, "AuthLogin", {"username": "alice", "password": _PASSWORD}
)
REFRESH: Final = _from(
    serializers.RefreshTokenSerializer, "AuthRefresh", {"refresh_token": _OPAQUE}
)
PASSWORD_CHANGE: Final = _from(
    serializers.PasswordChangeSerializer,
    "AuthPasswordChange",
    {"old_password": _PASSWORD, "new_password": "another horse, another staple"},
)
PASSWORD_RESET: Final = _from(
    serializers.PasswordResetSerializer, "AuthPasswordReset", {"email": "alice@example.com"}
)
PASSWORD_RESET_CONFIRM: Final = _from(
    serializers.PasswordResetConfirmSerializer,
    "AuthPasswordResetConfirm",
    {"token": _JWT, "new_password": "another horse, another staple"},
)
EMAIL_CONFIRM: Final = _from(
    serializers.EmailConfirmSerializer, "AuthEmailConfirm", {"token": _JWT}
)
SESSIONS: Final = _from(
    serializers.SessionSerializer,
    "AuthSession",
    {
        "id": _ID,
        "created_at": "2026-11-21T12:24:53.123456Z",
        "last_used_at": "2026-11-21T12:39:53.123456Z",
        "expires_at": "2026-11-28T12:39:53.123456Z",
        "ip_address": "192.0.2.7",
        "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "device": "Firefox on Linux",
        "current": True,
    },
    is_list=True,
)
TOKENS: Final = Body(
    name="AuthTokens",
    schema=partial(schemas.token_response, has_refresh_token=False, has_csrf_token=False),
    example={"access_token": _JWT, "token_type": "Bearer", "expires_in": 900},
)
#: With the access cookie.
TOKENS_WITH_CSRF_TOKEN: Final = Body(
    name="AuthTokens",
    schema=partial(schemas.token_response, has_refresh_token=False, has_csrf_token=True),
    example={**TOKENS.example, "csrf_token": "Hx3nTq0cJbYlM4v5w6z7A8B9C0D1E2F3"},
)
TOKENS_IN_BODY: Final = Body(
    name="AuthTokensInBody",
    schema=partial(schemas.token_response, has_refresh_token=True, has_csrf_token=False),
    example={**TOKENS.example, "refresh_token": _OPAQUE, "refresh_expires_in": 604800},
)
USER: Final = Body(
    name="AuthUser",
    schema=schemas.user,
    example={"id": 7, "username": "alice", "email": "alice@example.com", "roles": ["editor"]},
)
SERVICE_TOKEN: Final = Body(
    name="AuthServiceToken",
    schema=schemas.service_token,
    example={"token": _JWT},
    media_type="application/x-www-form-urlencoded",
)
INTROSPECTION: Final = Body(
    name="AuthIntrospection",
    schema=schemas.introspection,
    example={"active": False},
    is_inline=True,
)
DENIALS: Final = Body(
    name="AuthDenials",
    schema=schemas.denials,
    example={
        "as_of": 1795867200,
        "lifetime": 900,
        "everyone": None,
        "users": {"7": 3},
        "sessions": [_ID],
        "tokens": ["0f8fad5bd9cb469fa16570867728950e"],
    },
)
JWK_SET: Final = Body(
    name="AuthJWKSet",
    schema=schemas.jwk_set,
    example={
        "keys": [
            {
                "kty": "EC",
                "kid": "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s",
                "alg": "ES256",
                "use": "sig",
                "crv": "P-256",
                "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
                "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
            }
        ]
    },
    media_type="application/jwk-set+json",
)
METADATA: Final = Body(
    name="AuthServerMetadata",
    schema=schemas.metadata,
    example={
        "issuer": "https://auth.example.com",
        "jwks_uri": "https://auth.example.com/.well-known/jwks.json",
        "response_types_supported": [],
        "grant_types_supported": [],
    },
)
