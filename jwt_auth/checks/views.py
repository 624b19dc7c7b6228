"""The mounted views: our endpoints must be among them, and one of the project's must accept tokens.

Both omissions are silent otherwise. Without the endpoints, a client gets 404; without the
authentication class, each view of the project refuses good tokens. And the endpoints for other
services need a package that is not installed by default.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage
from django.urls import URLResolver, get_resolver
from rest_framework.settings import api_settings

from jwt_auth.check_messages import warning
from jwt_auth.conf import conf
from jwt_auth.http.authentication import JWTAuthentication
from jwt_auth.http.service_clients import ServiceClientAuthentication

#: The endpoints that give out access tokens. The layers forbid an import of their classes here.
_TOKEN_ROUTES: Final = frozenset({"login/", "refresh/"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MountedView:
    """A view of REST framework in the URLconf."""

    route: str
    cls: Any
    initkwargs: dict[str, Any]

    @property
    def is_endpoint(self) -> bool:
        """Whether it is one of this package's endpoints, or a project's subclass of one."""
        return hasattr(self.cls, "authenticates_itself")

    @property
    def authentication_classes(self) -> Any:
        """The classes that it uses; those given to ``as_view()`` win."""
        own = getattr(self.cls, "authentication_classes", ())
        return self.initkwargs.get("authentication_classes", own)


def mounted_views() -> list[MountedView] | None:
    """List the views; ``None`` if there is no URLconf, or if loading it fails."""
    try:
        return list(_walk(get_resolver().url_patterns))
    except Exception:  # noqa: BLE001  it runs the project's code, and Django's own check reports it
        return None


def _walk(patterns: Iterable[Any], prefix: str = "") -> Iterator[MountedView]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, route)
        elif (cls := getattr(pattern.callback, "cls", None)) is not None:
            initkwargs = getattr(pattern.callback, "initkwargs", {})
            yield MountedView(route=route, cls=cls, initkwargs=initkwargs)


def check_views(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    views = mounted_views()
    if views is None:
        return []
    return [
        *_check_endpoints(views),
        *_check_authentication(views),
        *_check_service_clients(views),
    ]


def _check_endpoints(views: list[MountedView]) -> Iterator[CheckMessage]:
    gives_tokens = any(view.is_endpoint and view.cls.route in _TOKEN_ROUTES for view in views)
    if gives_tokens and conf.jwks_url is not None:
        yield warning(
            "W081",
            "The URLs lead to login/ or refresh/, which answer 503: this service only verifies"
            " tokens (JWT_AUTH_JWKS_URL).",
            f'Remove include("jwt_auth.urls") from urlpatterns in {settings.ROOT_URLCONF}',
        )
    if not gives_tokens and conf.jwks_url is None:
        yield warning(
            "W071",
            "No URL leads to the endpoints of jwt_auth: clients can neither log in nor refresh.",
            'Write path("api/auth/", include("jwt_auth.urls")) into urlpatterns in '
            f"{settings.ROOT_URLCONF}",
        )


def _check_authentication(views: list[MountedView]) -> Iterator[CheckMessage]:
    try:
        defaults = api_settings.DEFAULT_AUTHENTICATION_CLASSES
    except Exception:  # noqa: BLE001  importing them runs the project's code
        return  # REST framework's views can't be imported either, and say why
    used = [defaults, *(view.authentication_classes for view in views if not view.is_endpoint)]
    if not any(map(_accept_tokens, used)):
        yield warning(
            "W072",
            "No view of the project accepts access tokens: neither "
            "DEFAULT_AUTHENTICATION_CLASSES nor a mounted view names JWTAuthentication.",
            'Write REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": '
            '["jwt_auth.authentication.JWTAuthentication"]}',
        )


def _check_service_clients(views: list[MountedView]) -> Iterator[CheckMessage]:
    used = any(_has(ServiceClientAuthentication, view.authentication_classes) for view in views)
    if used and find_spec("argon2") is None:
        yield warning(
            "W090",
            "The endpoints for other services answer 503, because argon2-cffi is not installed: "
            "it hashes the secrets of service clients.",
            'Run `python -m pip install "django-jwt-sessions[argon2]"`, or remove '
            'include("jwt_auth.urls.services") from urlpatterns',
        )


def _accept_tokens(classes: object) -> bool:
    return _has(JWTAuthentication, classes)


def _has(wanted: type[Any], classes: object) -> bool:
    return isinstance(classes, Iterable) and any(
        isinstance(each, type) and issubclass(each, wanted) for each in classes
    )
