"""The security schemes: bearer token, cookies, and the id and secret of a service client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings
from django.http.request import HttpHeaders
from drf_spectacular.drainage import set_override
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ComponentRegistry, ResolvedComponent

from jwt_auth.conf import conf
from jwt_auth.http.authentication import JWTAuthentication

Scheme = dict[str, Any]
#: One way to authenticate: every scheme in it is needed.
Requirement = dict[str, list[str]]

BEARER: Final = "bearerToken"
ACCESS_COOKIE: Final = "accessCookie"
CSRF_TOKEN: Final = "csrfToken"
REFRESH_COOKIE: Final = "refreshCookie"
SERVICE_CLIENT: Final = "serviceClient"

_SAFE: Final = frozenset({"GET", "HEAD"})

# Subclasses share the schemes with their base class, which drf-spectacular would warn of.
set_override(JWTAuthentication, "suppress_collision_warning", True)


class BearerTokenScheme(OpenApiAuthenticationExtension):
    """JWTAuthentication and its subclasses: the header, and the access cookie where it is on."""

    target_class: str | type[object] = JWTAuthentication
    match_subclasses = True
    reads_cookie = True

    @property
    def name(self) -> list[str]:  # type: ignore[override]  # an attribute there
        return list(self._schemes())

    def get_security_definition(self, auto_schema: AutoSchema) -> list[Scheme]:
        return list(self._schemes().values())

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[Requirement]:
        cookie: Requirement = {ACCESS_COOKIE: []}
        if auto_schema.method not in _SAFE:
            cookie[CSRF_TOKEN] = []
        return [{BEARER: []}, cookie] if self._takes_cookie() else [{BEARER: []}]

    def _takes_cookie(self) -> bool:
        return self.reads_cookie and conf.access_cookie_name is not None

    def _schemes(self) -> Mapping[str, Scheme]:
        schemes = {BEARER: SCHEMES[BEARER]()}
        if self._takes_cookie():
            schemes |= {name: SCHEMES[name]() for name in (ACCESS_COOKIE, CSRF_TOKEN)}
        return schemes


class HeaderOnlyScheme(BearerTokenScheme):
    """The authentication of verify/, which never reads the cookie."""

    target_class = "jwt_auth.http.views.gateway.HeaderAuthentication"
    priority = 1
    reads_cookie = False


class ServiceClientScheme(OpenApiAuthenticationExtension):
    """Service clients: HTTP Basic."""

    target_class = "jwt_auth.http.service_clients.ServiceClientAuthentication"
    match_subclasses = True
    name = SERVICE_CLIENT

    def get_security_definition(self, auto_schema: AutoSchema) -> Scheme:
        return SCHEMES[SERVICE_CLIENT]()


def register(name: str, registry: ComponentRegistry) -> None:
    """Add a scheme that no authentication class stands for, such as the refresh cookie."""
    registry.register_on_missing(
        ResolvedComponent(
            name=name,
            type=ResolvedComponent.SECURITY_SCHEMA,
            schema=SCHEMES[name](),
            object=JWTAuthentication,
        )
    )


def _bearer() -> Scheme:
    return {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The access token of a login or a refresh.",
    }


def _access_cookie() -> Scheme:
    return {
        "type": "apiKey",
        "in": "cookie",
        "name": conf.access_cookie_name,
        "description": "The access token. The browser sends it by itself.",
    }


def _csrf_token() -> Scheme:
    return {
        "type": "apiKey",
        "in": "header",
        "name": HttpHeaders.parse_header_name(settings.CSRF_HEADER_NAME),
        "description": "The `csrf_token` of the token response, with the access cookie only.",
    }


def _refresh_cookie() -> Scheme:
    return {
        "type": "apiKey",
        "in": "cookie",
        "name": conf.refresh_cookie_name,
        "description": "The refresh token. The browser sends it by itself; no script can read it.",
    }


def _service_client() -> Scheme:
    return {
        "type": "http",
        "scheme": "basic",
        "description": "The id and the secret of a service client, each form-encoded.",
    }


#: Made at each use, because settings give some of their names.
SCHEMES: Final = {
    BEARER: _bearer,
    ACCESS_COOKIE: _access_cookie,
    CSRF_TOKEN: _csrf_token,
    REFRESH_COOKIE: _refresh_cookie,
    SERVICE_CLIENT: _service_client,
}
