"""The checks of the URLconf: our endpoints are mounted, and a view accepts access tokens."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from django.core.checks import run_checks
from django.http import HttpResponse
from django.urls import URLPattern, URLResolver, include, path
from pytest_django import Settings
from rest_framework.authentication import SessionAuthentication
from rest_framework.decorators import api_view, authentication_classes
from rest_framework.response import Response
from rest_framework.routers import DefaultRouter
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from jwt_auth import checks
from jwt_auth.authentication import JWTAuthentication
from jwt_auth.checks.views import check_views
from jwt_auth.http.views.login_and_refresh import LoginView, LogoutView, RefreshView
from tests.checks.scene import advice_of, ids_of

pytestmark = pytest.mark.smoke

CLASS = "jwt_auth.authentication.JWTAuthentication"


class OwnAuthentication(JWTAuthentication):
    """A project's own."""


class OwnLoginView(LoginView):
    """A project's own."""


class OwnView(APIView):
    """A view of the project's, with the default classes."""


class BearerOnlyView(APIView):
    """A view of the project's that names the class itself."""

    authentication_classes = (OwnAuthentication,)


class Things(ViewSet):
    """The same as a viewset."""

    authentication_classes = (JWTAuthentication,)

    def list(self, request: Any) -> Response:
        return Response()


@api_view()
@authentication_classes([JWTAuthentication])
def function_view(request: Any) -> Response:
    """Do the same as a function."""
    return Response()


def plain_view(request: Any) -> HttpResponse:
    """Answer without REST framework."""
    return HttpResponse()


router = DefaultRouter()
router.register("things", Things, "things")
endpoints = path("api/auth/", include("jwt_auth.urls"))


def _mounted(settings: Settings, *patterns: URLPattern | URLResolver) -> list[str]:
    settings.ROOT_URLCONF = patterns
    return ids_of(check_views(None))


@pytest.mark.parametrize(
    "mounted",
    [
        endpoints,
        path("api/mobile/", include("jwt_auth.urls.body")),
        path("v1/", include([path("auth/", include("jwt_auth.urls", namespace="v1"))])),
        path("sso/", OwnLoginView.as_view()),
        path("refresh/", RefreshView.as_view()),
    ],
)
def test_mounted_endpoints_have_no_message(mounted: Any, settings: Settings) -> None:
    """With either transport, anywhere, and a project's own subclass."""
    assert _mounted(settings, path("", plain_view), mounted) == []


@pytest.mark.parametrize("mounted", [(), (LogoutView,), (OwnView,), (BearerOnlyView,)])
def test_missing_endpoints_are_warned_of(mounted: Any, settings: Settings) -> None:
    """Clients would get 404 for each path of the documentation."""
    patterns = [path(f"{view.__name__}/", view.as_view()) for view in mounted]
    assert _mounted(settings, path("", plain_view), *patterns) == ["W071"]


def test_hint_names_the_line_and_its_file(settings: Settings) -> None:
    """Written there, the line ends the warning."""
    settings.ROOT_URLCONF = "jwt_auth.urls.well_known"
    (message,) = check_views(None)
    line = 'path("api/auth/", include("jwt_auth.urls"))'
    assert advice_of(message) == f"Write {line} into urlpatterns in jwt_auth.urls.well_known"
    assert _mounted(settings, eval(line)) == []


def test_tokens_from_another_service_need_no_endpoints(settings: Settings) -> None:
    """The login is there."""
    settings.JWT_AUTH_JWKS_URL = "https://auth.example.com/.well-known/jwks.json"
    assert _mounted(settings) == []
    assert _mounted(settings, path("", include("jwt_auth.urls"))) == ["W081"]
    assert _mounted(settings, path("", include("jwt_auth.urls.well_known"))) == []


@pytest.mark.parametrize("urlconf", [None, "", "no.such.module", "jwt_auth.conf", "tests.jobs.ALL"])
def test_urlconf_that_cannot_be_loaded_has_no_message(urlconf: Any, settings: Settings) -> None:
    """Django's own check reports it, if there has to be one."""
    settings.ROOT_URLCONF = urlconf
    settings.REST_FRAMEWORK = {}
    assert check_views(None) == []


@pytest.mark.parametrize(
    "accepts",
    [
        path("own/", BearerOnlyView.as_view()),
        path("own/", OwnView.as_view(authentication_classes=[JWTAuthentication])),
        path("own/", function_view),
        path("", include(router.urls)),
    ],
)
def test_view_that_accepts_tokens_suffices(accepts: Any, settings: Settings) -> None:
    """As a class, with an argument, as a function and as a viewset."""
    settings.REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": []}
    assert _mounted(settings, endpoints, accepts) == []


@pytest.mark.parametrize("classes", [None, (), (SessionAuthentication,), ("no class",), 5])
def test_no_view_that_accepts_tokens_is_warned_of(classes: Any, settings: Settings) -> None:
    """Each answers 401 or 403 to a good token; our own endpoints don't count."""
    settings.REST_FRAMEWORK = {}
    own = path("own/", OwnView.as_view(authentication_classes=classes))
    assert _mounted(settings, endpoints, own, path("", plain_view)) == ["W072"]


def test_line_of_the_hint_makes_views_accept_tokens(settings: Settings) -> None:
    """A project that writes it has no warning any more."""
    settings.REST_FRAMEWORK = {}
    settings.ROOT_URLCONF = (endpoints,)
    (message,) = check_views(None)
    settings.REST_FRAMEWORK = eval(advice_of(message).partition(" = ")[2])
    assert check_views(None) == []


@pytest.mark.parametrize("name", ["no.such.Class", f"{__name__}.OwnAuthentication"])
def test_default_class_is_imported_as_rest_framework_does(name: str, settings: Settings) -> None:
    """A subclass counts; one that can't be imported is left to REST framework's own error."""
    settings.REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": [name]}
    assert _mounted(settings, endpoints) == []


def test_services_without_argon2_are_warned_of(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their endpoints could verify no secret. A project without them needs no Argon2."""
    services = path("api/auth/", include("jwt_auth.urls.services"))
    assert _mounted(settings, endpoints, services) == []
    monkeypatch.setitem(sys.modules, "argon2", None)
    assert _mounted(settings, endpoints) == []
    assert _mounted(settings, endpoints, services) == ["W090"]
    (message,) = check_views(None)
    assert 'pip install "django-jwt-sessions[argon2]"' in advice_of(message)


def test_plain_check_runs_them_and_no_start_does(settings: Settings) -> None:
    """They are warnings, which stop nothing."""
    settings.ROOT_URLCONF = (path("", plain_view),)
    settings.REST_FRAMEWORK = {}
    assert {"W071", "W072"} <= set(ids_of(run_checks(tags=[checks.TAG])))
    assert checks.start_problems(serving=True) == []
