"""The schemas of requests and answers, each with an example."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db import models
from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import is_jsonschema_compliant
from drf_spectacular.utils import extend_schema_serializer
from rest_framework.serializers import BaseSerializer

from jwt_auth.http import serializers
from jwt_auth.http.serializers import TextField

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_INTEGER: Final[Schema] = {"type": "integer"}
_SECONDS: Final[Schema] = {"type": "integer", "minimum": 0}
_NO_NUL: Final = r"^[^\u0000]*$"
_JWT: Final = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmF0dXJl"
_OPAQUE: Final = "AWQ1NjEwNDQ3NDU1NDU3ZTgxMTV0Yg"


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


class TextFieldExtension(OpenApiSerializerFieldExtension):
    """The endpoints' texts: never empty, and without the character that no database keeps."""

    target_class = TextField
    match_subclasses = True

    def map_serializer_field(self, auto_schema: AutoSchema, direction: str) -> Schema:
        field: TextField = self.target
        schema: Schema = {"type": "string", "pattern": _NO_NUL}
        if field.max_length is not None:
            schema["maxLength"] = field.max_length
        if not field.allow_blank:
            schema["minLength"] = 1
        if "password" in (field.field_name or ""):
            schema["format"] = "password"
        return schema


def _object(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
    }


def _array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _or_null(schema: Schema) -> Schema:
    if is_jsonschema_compliant():  # OpenAPI 3.1
        return {**schema, "type": [schema["type"], "null"]}
    return {**schema, "nullable": True}


def _from(
    serializer: type[BaseSerializer[Any]], name: str, example: Any, *, is_list: bool = False
) -> Body:
    extend_schema_serializer(component_name=name)(serializer)
    return Body(name=name, schema=serializer, example=example, is_list=is_list)


def tokens(*, has_refresh_token: bool, has_csrf_token: bool) -> Body:
    """The token response (RFC 6749 §5.1), with what the transport and the settings add."""
    members: dict[str, Schema] = {
        "access_token": _TEXT,
        "token_type": {**_TEXT, "pattern": "^Bearer$"},
        "expires_in": _SECONDS,
    }
    example = dict(TOKENS.example)
    if has_refresh_token:
        members |= {"refresh_token": _TEXT, "refresh_expires_in": _SECONDS}
        example |= {"refresh_token": _OPAQUE, "refresh_expires_in": 604800}
    if has_csrf_token:
        members["csrf_token"] = _TEXT
        example["csrf_token"] = "Hx3nTq0cJbYlM4v5w6z7A8B9C0D1E2F3"
    name = "AuthTokensInBody" if has_refresh_token else TOKENS.name
    return Body(name=name, schema=lambda: _object(members), example=example)


def _user_key() -> Schema:
    key = get_user_model()._meta.pk
    while isinstance(key, models.ForeignKey):
        key = key.target_field
    if isinstance(key, models.IntegerField):
        return {"type": "integer"}
    return {"type": "string", "format": "uuid"} if isinstance(key, models.UUIDField) else _TEXT


def _user() -> Schema:
    return _object({"id": _user_key(), "username": _TEXT, "email": _TEXT, "roles": _array(_TEXT)})


def _active_or_not() -> Schema:
    claims: dict[str, Schema] = {
        "active": {"type": "boolean", "enum": [True]},
        "token_type": {"type": "string", "enum": ["Bearer"]},
        **dict.fromkeys(("iss", "sub", "jti", "sid", "client_id"), _TEXT),
        "aud": {"oneOf": [_TEXT, _array(_TEXT)]},
        **dict.fromkeys(("iat", "nbf", "exp", "token_version"), _INTEGER),
        "token_use": {"type": "string", "enum": ["access"]},
        "roles": _array(_TEXT),
    }
    dead = _object({"active": {"type": "boolean", "enum": [False]}})
    dead["additionalProperties"] = False
    return {"oneOf": [{**_object(claims), "additionalProperties": {}}, dead]}


def _denials() -> Schema:
    versions = {"type": "object", "additionalProperties": _or_null({"type": "integer"})}
    return _object(
        {
            "as_of": {"type": "integer"},
            "lifetime": _SECONDS,
            "everyone": _or_null({"type": "integer"}),
            "users": versions,
            "sessions": _array({"type": "string", "format": "uuid"}),
            "tokens": _array(_TEXT),
        }
    )


def _jwk_set() -> Schema:
    key = _object(
        {"kty": _TEXT, "kid": _TEXT, "alg": _TEXT, "use": _TEXT},
        dict.fromkeys(("crv", "x", "y", "n", "e"), _TEXT),
    )
    return _object({"keys": _array(key)})


def _metadata() -> Schema:
    url = {"type": "string", "format": "uri"}
    methods = "endpoint_auth_methods_supported"
    return _object(
        {
            "issuer": _TEXT,
            "response_types_supported": _array(_TEXT),
            "grant_types_supported": _array(_TEXT),
        },
        {
            "jwks_uri": url,
            "introspection_endpoint": url,
            f"introspection_{methods}": _array(_TEXT),
            "revocation_endpoint": url,
            f"revocation_{methods}": _array(_TEXT),
        },
    )


_PASSWORD: Final = "correct horse battery staple"
_ID: Final = "fd561044-7455-457e-8115-74bfeabea269"

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
#: What every token response has; ``tokens()`` makes the schema.
TOKENS: Final = Body(
    name="AuthTokens",
    schema=dict,
    example={"access_token": _JWT, "token_type": "Bearer", "expires_in": 900},
)
USER: Final = Body(
    name="AuthUser",
    schema=_user,
    example={"id": 7, "username": "alice", "email": "alice@example.com", "roles": ["editor"]},
)
SERVICE_TOKEN: Final = Body(
    name="AuthServiceToken",
    schema=lambda: _object({"token": {**_TEXT, "minLength": 1}}, {"token_type_hint": _TEXT}),
    example={"token": _JWT},
    media_type="application/x-www-form-urlencoded",
)
INTROSPECTION: Final = Body(
    name="AuthIntrospection",
    schema=_active_or_not,
    example={"active": False},
    is_inline=True,
)
DENIALS: Final = Body(
    name="AuthDenials",
    schema=_denials,
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
    schema=_jwk_set,
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
    schema=_metadata,
    example={
        "issuer": "https://auth.example.com",
        "jwks_uri": "https://auth.example.com/.well-known/jwks.json",
        "response_types_supported": [],
        "grant_types_supported": [],
    },
)
