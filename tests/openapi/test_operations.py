"""Names, security, headers and links of the operations, under each setting that changes them."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.core.management import call_command
from drf_spectacular.settings import patched_settings
from drf_spectacular.validation import validate_schema
from pytest_django import Settings

from jwt_auth.models import RefreshTokenFamily, TokenVersion
from jwt_auth.openapi import schemas
from tests.openapi.conftest import Describe

pytestmark = pytest.mark.smoke

ACCESS_COOKIE = "__Host-access"


def operation(schema: dict[str, Any], path: str, method: str = "post") -> dict[str, Any]:
    found: dict[str, Any] = schema["paths"][path][method]
    return found


def codes(operation: dict[str, Any], status: int) -> list[str]:
    """The codes that an answer may have."""
    body = operation["responses"][str(status)]["content"]["application/json"]["schema"]
    listed: list[str] = body["properties"]["code"]["enum"]
    return listed


@pytest.mark.example
def test_example_has_no_warning(tmp_path: Any) -> None:
    """The command that a project runs in its continuous integration."""
    file = tmp_path / "schema.yml"
    call_command("spectacular", "--fail-on-warn", "--validate", "--file", str(file))
    assert "/api/auth/login/:" in file.read_text()


def test_schema_of_every_mount_is_valid(describe: Describe) -> None:
    """By the JSON schema of OpenAPI."""
    validate_schema(describe())


def test_ids_are_short_at_the_first_mount_and_never_repeated(describe: Describe) -> None:
    """They become the names of functions in a generated client."""
    paths = describe()["paths"]
    ids = [each["operationId"] for operations in paths.values() for each in operations.values()]
    assert len(ids) == len(set(ids))
    assert paths["/api/auth/login/"]["post"]["operationId"] == "auth_login"
    assert paths["/api/mobile/auth/login/"]["post"]["operationId"] == "auth_body_login"
    assert paths["/api/v2/auth/login/"]["post"]["operationId"] == "api_v2_auth_login_create"


def test_parameter_of_a_mount_is_described(describe: Describe) -> None:
    """A tenant in the path."""
    parameters = operation(describe(), "/t/{tenant}/auth/login/")["parameters"]
    assert [each["name"] for each in parameters] == ["tenant"]


@pytest.mark.parametrize(
    ("path", "method", "expected"),
    [
        ("login/", "post", [{}]),
        ("refresh/", "post", [{"refreshCookie": []}]),
        ("logout/", "post", [{"refreshCookie": []}, {"bearerToken": []}, {}]),
        ("me/", "get", [{"bearerToken": []}]),
        ("verify/", "get", [{"bearerToken": []}]),
        ("introspect/", "post", [{"serviceClient": []}]),
    ],
)
def test_security_is_what_the_endpoint_takes(
    path: str, method: str, expected: list[Any], describe: Describe
) -> None:
    """Without the access cookie."""
    assert operation(describe(), f"/api/auth/{path}", method)["security"] == expected


def test_access_cookie_is_described_where_it_is_on(settings: Settings, describe: Describe) -> None:
    """It needs the CSRF token, too, except for GET; verify/ never reads it."""
    settings.JWT_AUTH_ACCESS_COOKIE_NAME = ACCESS_COOKIE
    schema = describe()
    cookie: dict[str, list[str]] = {"accessCookie": [], "csrfToken": []}
    change = operation(schema, "/api/auth/password/change/")
    assert change["security"] == [{"bearerToken": []}, cookie]
    assert codes(change, 403) == ["cross_site_request", "csrf_failed"]
    me = operation(schema, "/api/auth/me/", "get")
    assert me["security"] == [{"bearerToken": []}, {"accessCookie": []}]
    assert codes(me, 403) == ["cross_site_request"]
    verify = operation(schema, "/api/auth/verify/", "get")
    assert verify["security"] == [{"bearerToken": []}]
    assert "403" not in verify["responses"]
    schemes = schema["components"]["securitySchemes"]
    assert schemes["accessCookie"]["name"] == ACCESS_COOKIE
    assert schemes["csrfToken"]["name"] == "X-Csrftoken"
    tokens = schema["components"]["schemas"]["AuthTokens"]
    assert "csrf_token" in tokens["required"]


def test_refresh_cookie_has_the_name_of_the_settings(
    settings: Settings, describe: Describe
) -> None:
    """A client that isn't a browser has to know it."""
    settings.JWT_AUTH_REFRESH_COOKIE_NAME = "renewal"
    schemes = describe()["components"]["securitySchemes"]
    assert schemes["refreshCookie"]["in"] == "cookie"
    assert schemes["refreshCookie"]["name"] == "renewal"


def test_body_mount_takes_and_gives_the_refresh_token(describe: Describe) -> None:
    """In the body, without a cookie and its checks."""
    schema = describe()
    refresh = operation(schema, "/api/mobile/auth/refresh/")
    assert refresh["requestBody"]["required"]
    assert refresh["security"] == [{}]
    assert "403" not in refresh["responses"]
    assert "Set-Cookie" not in refresh["responses"]["200"]["headers"]
    logout = operation(schema, "/api/mobile/auth/logout/")
    assert "required" not in logout["requestBody"]
    assert {"400", "415"}.isdisjoint(logout["responses"])
    tokens = schema["components"]["schemas"]["AuthTokensInBody"]
    assert {"refresh_token", "refresh_expires_in"} <= set(tokens["required"])
    cookie = operation(schema, "/api/auth/refresh/")
    assert "requestBody" not in cookie
    assert codes(cookie, 403) == ["cross_site_request"]
    assert "Set-Cookie" in cookie["responses"]["200"]["headers"]


def test_links_name_operations_of_the_same_mount(describe: Describe) -> None:
    """A client, or a test, finds from the answer what to ask next."""
    schema = describe()
    login = operation(schema, "/api/mobile/auth/login/")["responses"]["200"]
    assert login["links"]["refresh"] == {
        "operationId": "auth_body_refresh",
        "requestBody": {"refresh_token": "$response.body#/refresh_token"},
    }
    listed = operation(schema, "/api/auth/sessions/", "get")["responses"]["200"]
    assert listed["links"]["session_end"] == {
        "operationId": "auth_session_end",
        "parameters": {"session_id": "$response.body#/0/id"},
    }
    assert "links" not in operation(schema, "/api/auth/login/")["responses"]["200"]
    second = operation(schema, "/api/v2/auth/sessions/", "get")["responses"]["200"]
    assert "links" not in second


def test_refusals_have_their_headers(describe: Describe) -> None:
    """Each is there whenever it is described."""
    schema = describe()
    login = operation(schema, "/api/auth/login/")["responses"]
    assert login["429"]["headers"]["Retry-After"]["required"]
    assert login["401"]["headers"]["WWW-Authenticate"]["required"]
    introspect = operation(schema, "/api/auth/introspect/")["responses"]
    pattern = introspect["401"]["headers"]["WWW-Authenticate"]["schema"]["pattern"]
    assert pattern.startswith("^Basic ")
    verify = operation(schema, "/api/auth/verify/", "get")["responses"]["204"]["headers"]
    assert {"X-Auth-User", "X-Auth-Session", "X-Auth-Roles", "X-Auth-Claims"} <= set(verify)
    jwks = operation(schema, "/.well-known/jwks.json", "get")["responses"]["200"]
    assert list(jwks["content"]) == ["application/jwk-set+json"]
    assert {"ETag", "Cache-Control"} <= set(jwks["headers"])


def test_endpoints_without_a_mail_are_left_out(settings: Settings, describe: Describe) -> None:
    """They would always answer 404."""
    settings.JWT_AUTH_PASSWORD_RESET_URL = settings.JWT_AUTH_EMAIL_CONFIRMATION_URL = None
    paths = describe()["paths"]
    assert "/api/auth/password/reset/" not in paths
    assert "/api/auth/email/send-confirmation/" not in paths
    assert "/api/auth/password/reset/confirm/" in paths


def test_service_that_only_verifies_has_no_sessions(settings: Settings, describe: Describe) -> None:
    """What would always answer 503 is left out."""
    settings.JWT_AUTH_KEY_STORE = None
    settings.JWT_AUTH_REVOCATION = {"BACKEND": "jwt_auth.revocation.stateless.NoRevocation"}
    settings.JWT_AUTH_JWKS_URL = "https://issuer.example.com/.well-known/jwks.json"
    paths = [path for path in describe()["paths"] if path.startswith("/api/auth/")]
    assert paths == ["/api/auth/me/", "/api/auth/verify/"]


def test_nullable_members_follow_the_version(describe: Describe) -> None:
    """OpenAPI 3.1 has another word for them than 3.0."""
    everyone = describe()["components"]["schemas"]["AuthDenials"]["properties"]["everyone"]
    assert everyone == {"type": "integer", "nullable": True}
    with patched_settings({"OAS_VERSION": "3.1.0"}):
        everyone = describe()["components"]["schemas"]["AuthDenials"]["properties"]["everyone"]
    assert everyone == {"type": ["integer", "null"]}


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (RefreshTokenFamily, {"type": "string", "format": "uuid"}),
        (Session, {"type": "string"}),
        (ContentType, {"type": "integer"}),
    ],
)
def test_key_of_any_type_is_described(
    model: Any, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models with such keys stand for users."""
    monkeypatch.setattr(schemas, "get_user_model", lambda: model)
    assert schemas.user()["properties"]["id"] == expected


def test_key_that_refers_to_another_row_has_the_type_of_that_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A user model may extend another one by a one-to-one relation."""
    expected = schemas.user()
    monkeypatch.setattr(schemas, "get_user_model", lambda: TokenVersion)
    assert schemas.user() == expected


@pytest.mark.user_model
def test_user_has_the_type_of_its_key(describe: Describe, settings: Settings) -> None:
    """An integer, a UUID or a text, as me/ answers it."""
    types = {
        "users.UUIDKeyUser": {"type": "string", "format": "uuid"},
        "users.StringKeyUser": {"type": "string"},
    }
    expected = types.get(settings.AUTH_USER_MODEL, {"type": "integer"})
    user = describe()["components"]["schemas"]["AuthUser"]
    assert user["properties"]["id"] == expected


def test_optional_field_has_no_default(describe: Describe) -> None:
    """With one, openapi-typescript would make it a required field of the client's type."""
    login = describe()["components"]["schemas"]["AuthLogin"]
    assert login["required"] == ["password", "username"]
    assert login["properties"]["remember_me"] == {"type": "boolean"}
