"""The schemas that no serializer gives, as functions, because settings decide some of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db import models
from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import is_jsonschema_compliant

from jwt_auth.http.serializers import EmailField, TextField

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
_INTEGER: Final[Schema] = {"type": "integer"}
_SECONDS: Final[Schema] = {"type": "integer", "minimum": 0}
_NO_NUL: Final = r"^[^\u0000]*$"


class TextFieldExtension(OpenApiSerializerFieldExtension):
    """The endpoints' texts: never empty, and without the character that no database keeps."""

    target_class = TextField
    match_subclasses = True

    def map_serializer_field(self, auto_schema: AutoSchema, direction: str) -> Schema:
        field: TextField = self.target
        # An empty one, where it is allowed, is drf-spectacular's to add.
        schema: Schema = {**TEXT, "pattern": _NO_NUL, "minLength": 1}
        if field.max_length is not None:
            schema["maxLength"] = field.max_length
        if "password" in (field.field_name or ""):
            schema["format"] = "password"
        if isinstance(field, EmailField):
            schema["format"] = "email"
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


def token_response(*, has_refresh_token: bool, has_csrf_token: bool) -> Schema:
    """The token response (RFC 6749 §5.1), with what the transport and the settings add."""
    members: dict[str, Schema] = {
        "access_token": TEXT,
        "token_type": {**TEXT, "pattern": "^Bearer$"},
        "expires_in": _SECONDS,
    }
    if has_refresh_token:
        members |= {"refresh_token": TEXT, "refresh_expires_in": _SECONDS}
    if has_csrf_token:
        members["csrf_token"] = TEXT
    return _object(members)


def _user_key() -> Schema:
    key = get_user_model()._meta.pk
    while isinstance(key, models.ForeignKey):
        key = key.target_field
    if isinstance(key, models.IntegerField):
        return {"type": "integer"}
    return {"type": "string", "format": "uuid"} if isinstance(key, models.UUIDField) else TEXT


def user() -> Schema:
    return _object({"id": _user_key(), "username": TEXT, "email": TEXT, "roles": _array(TEXT)})


def introspection() -> Schema:
    claims: dict[str, Schema] = {
        "active": {"type": "boolean", "enum": [True]},
        "token_type": {"type": "string", "enum": ["Bearer"]},
        **dict.fromkeys(("iss", "sub", "jti", "sid", "client_id"), TEXT),
        "aud": {"oneOf": [TEXT, _array(TEXT)]},
        **dict.fromkeys(("iat", "nbf", "exp", "token_version"), _INTEGER),
        "token_use": {"type": "string", "enum": ["access"]},
        "roles": _array(TEXT),
    }
    # Tokens of the package's former versions don't have them.
    authentication = {"auth_time": _INTEGER, "amr": _array(TEXT)}
    dead = _object({"active": {"type": "boolean", "enum": [False]}})
    dead["additionalProperties"] = False
    return {"oneOf": [{**_object(claims, authentication), "additionalProperties": {}}, dead]}


def denials() -> Schema:
    versions = {"type": "object", "additionalProperties": _or_null({"type": "integer"})}
    return _object(
        {
            "as_of": {"type": "integer"},
            "lifetime": _SECONDS,
            "everyone": _or_null({"type": "integer"}),
            "users": versions,
            "sessions": _array({"type": "string", "format": "uuid"}),
            "tokens": _array(TEXT),
        }
    )


def jwk_set() -> Schema:
    key = _object(
        {"kty": TEXT, "kid": TEXT, "alg": TEXT, "use": TEXT},
        dict.fromkeys(("crv", "x", "y", "n", "e"), TEXT),
    )
    return _object({"keys": _array(key)})


def metadata() -> Schema:
    url = {"type": "string", "format": "uri"}
    methods = "endpoint_auth_methods_supported"
    return _object(
        {
            "issuer": TEXT,
            "response_types_supported": _array(TEXT),
            "grant_types_supported": _array(TEXT),
        },
        {
            "jwks_uri": url,
            "introspection_endpoint": url,
            f"introspection_{methods}": _array(TEXT),
            "revocation_endpoint": url,
            f"revocation_{methods}": _array(TEXT),
        },
    )


def service_token() -> Schema:
    return _object({"token": {**TEXT, "minLength": 1}}, {"token_type_hint": TEXT})
