"""`request.user` outside of REST framework: in other middleware and in Django's own views."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.auth.decorators import login_required
from django.core.exceptions import SynchronousOnlyOperation
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import AsyncClient, Client
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from jwt_auth.exceptions import AccessTokenRefused, KeyStoreError, Refusal
from jwt_auth.keys import cache
from jwt_auth.middleware import aget_access_token, get_access_token
from jwt_auth.models import Reason, RefreshTokenFamily
from jwt_auth.revocation.database import DatabaseRevocation
from jwt_auth.revocation.lazy import lazy_user
from jwt_auth.signals import token_refused
from tests.http.site import Session, Site

pytestmark = pytest.mark.smoke

FORGED = {"Authorization": "Bearer forged"}
ACCESS_COOKIE = "__Host-access_token"


def _name(user: Any) -> str:
    return str(user.get_username()) if user.is_authenticated else ""


@csrf_exempt
def plain(request: HttpRequest) -> HttpResponse:
    """A view of Django's kind."""
    token = get_access_token(request)
    return JsonResponse({"user": _name(request.user), "sid": token and str(token.session_id)})


async def coroutine(request: Any) -> HttpResponse:
    """The same in an event loop."""
    user = await request.auser()
    token = await aget_access_token(request)
    return JsonResponse({"user": _name(user), "sid": token and str(token.session_id)})


async def blocking(request: Any) -> HttpResponse:
    """A mistake: it would block the loop."""
    return JsonResponse({"user": _name(request.user)})


def unconcerned(request: HttpRequest) -> HttpResponse:
    """A view that doesn't ask who calls."""
    return HttpResponse()


def removed(request: HttpRequest) -> HttpResponse:
    """A view whose user is deleted before a field is read."""
    raise AccessTokenRefused(Refusal.USER_UNKNOWN)


def broken(request: HttpRequest) -> HttpResponse:
    """A view with an error that concerns no token."""
    raise LookupError


class Both(APIView):
    """A view of REST framework's behind the middleware."""

    permission_classes = (AllowAny,)

    def get(self, request: Request) -> Response:
        """Say who calls, by the middleware and by REST framework."""
        before = getattr(request._request, "seen", "")
        return Response({"before": before, "user": _name(request.user)})


urlpatterns = [
    path("api/auth/", include("jwt_auth.urls")),
    path("plain/", plain),
    path("coroutine/", coroutine),
    path("blocking/", blocking),
    path("unconcerned/", unconcerned),
    path("members/", login_required(plain)),
    path("removed/", removed),
    path("broken/", broken),
    path("both/", Both.as_view()),
]


def look(get_response: Callable[[HttpRequest], HttpResponse]) -> Any:
    """A project's middleware that needs the user before the view."""

    def middleware(request: Any) -> HttpResponse:
        if request.path == "/both/":
            request.seen = _name(request.user)
        return get_response(request)

    return middleware


@pytest.fixture(autouse=True)
def _installed(settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE,
        "jwt_auth.middleware.JWTUserMiddleware",
        f"{__name__}.look",
    ]


def _seen(site: Site, path: str, headers: dict[str, str]) -> Any:
    answer = site.get(path, headers=headers)
    assert answer.status_code == 200, answer.content
    return json.loads(answer.content)


def test_view_of_django_sees_the_user_and_the_token(site: Site, session: Session) -> None:
    """As a view of REST framework would."""
    name = site.get("me/", headers=session.bearer).json()["username"]
    seen = _seen(site, "/plain/", session.bearer)
    assert seen == {"user": name, "sid": str(session.id)}


@pytest.mark.parametrize("headers", [{}, FORGED, {"Authorization": "Bearer"}])
def test_view_sees_nobody_without_a_good_token(site: Site, headers: dict[str, str]) -> None:
    """A bad token is no error of the server's."""
    assert _seen(site, "/plain/", headers) == {"user": "", "sid": None}


def test_revoked_session_makes_the_user_anonymous(site: Site, session: Session) -> None:
    """At once, as everywhere."""
    site.post("logout/", headers=session.bearer)
    assert _seen(site, "/plain/", session.bearer)["user"] == ""


def test_decorators_of_django_find_the_user(site: Site, session: Session) -> None:
    """``login_required`` knows nothing of tokens."""
    assert site.get("/members/", headers=session.bearer).status_code == 200
    assert site.get("/members/").status_code == 302


def test_refused_token_does_not_fall_back_to_the_session_of_django(
    site: Site, user: Any, session: Session
) -> None:
    """A client that sends a token has chosen its identity; without one, Django's session counts."""
    site.force_login(user)
    assert _seen(site, "/plain/", {})["user"] == user.get_username()
    assert _seen(site, "/plain/", FORGED)["user"] == ""


def test_token_wins_over_the_session_of_django(
    site: Site, bobs: Session, session: Session, make_user: Any
) -> None:
    """Another user may be logged in to the admin with the same browser."""
    site.force_login(make_user("carol"))
    assert _seen(site, "/plain/", bobs.bearer)["sid"] == str(bobs.id)


def test_request_is_not_judged_until_something_asks(
    site: Site, session: Session, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """A view without a need for the user costs no statement."""
    with django_assert_num_queries(0):
        site.get("/unconcerned/", headers=session.bearer)


def test_view_of_rest_framework_does_not_ask_again(
    site: Site, session: Session, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """One statement, for the middleware and the view together."""
    with django_assert_num_queries(1):
        seen = _seen(site, "/both/", session.bearer)
    assert seen["before"] == seen["user"] != ""


def test_refused_token_is_reported_once(site: Site, session: Session) -> None:
    """And the view of REST framework still answers its 401."""
    reasons: list[Refusal] = []

    def note(reason: Refusal, **kwargs: Any) -> None:
        reasons.append(reason)

    token_refused.connect(note)
    try:
        answer = site.get("/both/", headers=FORGED)
    finally:
        token_refused.disconnect(note)
    assert (answer.status_code, len(reasons)) == (401, 1)
    assert 'error="invalid_token"' in answer["WWW-Authenticate"]


def test_missing_keys_make_the_user_anonymous_and_are_logged(
    site: Site,
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
    log: pytest.LogCaptureFixture,
) -> None:
    """Nobody gets in, and the view decides; REST framework's views answer 503."""
    monkeypatch.setattr(cache, "get_loaded_ring", _fail)
    monkeypatch.setattr(cache, "get_verification_key", _fail)
    assert _seen(site, "/plain/", session.bearer)["user"] == ""
    assert "Access tokens can't be verified" in log.text
    assert site.get("/both/", headers=session.bearer).status_code == 503


def _fail(*args: Any, **kwargs: Any) -> Any:
    raise KeyStoreError


def test_field_of_a_user_who_has_gone_is_answered_401(site: Site, session: Session) -> None:
    """With Redis the row is read late, and may be gone by then: no 500."""
    answer = site.get("/removed/", headers=session.bearer)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
    assert 'error="invalid_token"' in answer["WWW-Authenticate"]


def test_other_errors_of_a_view_are_left_alone(site: Site, session: Session) -> None:
    """The project must learn of them."""
    with pytest.raises(LookupError):
        site.get("/broken/", headers=session.bearer)


# ---- Without Django's middleware of sessions


def test_anonymous_user_is_set_where_no_other_middleware_does(db: None, settings: Settings) -> None:
    """An API needs no sessions of Django's."""
    settings.MIDDLEWARE = ["jwt_auth.middleware.JWTUserMiddleware"]
    assert Client().get("/plain/").json() == {"user": "", "sid": None}


# ---- In an event loop


def _get(path: str, headers: dict[str, str]) -> Any:
    """Send a request through the async handler; what is sync runs in this test's thread."""
    return async_to_sync(AsyncClient().get)(path, headers=headers)


def test_async_view_sees_the_user_and_the_token(site: Site, session: Session) -> None:
    """By ``await request.auser()``."""
    name = site.get("me/", headers=session.bearer).json()["username"]
    answer = _get("/coroutine/", session.bearer)
    assert answer.json() == {"user": name, "sid": str(session.id)}


@pytest.mark.parametrize("headers", [{}, FORGED])
def test_async_view_sees_nobody_without_a_good_token(site: Site, headers: dict[str, str]) -> None:
    """As the sync one."""
    assert _get("/coroutine/", headers).json() == {"user": "", "sid": None}


def test_async_view_sees_nobody_after_a_logout(site: Site, session: Session) -> None:
    """At once."""
    site.post("logout/", headers=session.bearer)
    assert _get("/coroutine/", session.bearer).json()["user"] == ""


def test_async_view_that_would_block_the_loop_is_told(site: Site, session: Session) -> None:
    """Even where Redis would answer, so that it doesn't show in production only."""
    with pytest.raises(SynchronousOnlyOperation, match=r"request\.auser"):
        _get("/blocking/", session.bearer)


def test_refused_token_is_reported_once_in_a_loop_too(site: Site) -> None:
    """User and token are two questions, and one judgement."""
    reasons: list[Refusal] = []

    def note(reason: Refusal, **kwargs: Any) -> None:
        reasons.append(reason)

    token_refused.connect(note)
    try:
        _get("/coroutine/", FORGED)
    finally:
        token_refused.disconnect(note)
    assert len(reasons) == 1


def test_missing_keys_make_the_user_anonymous_in_a_loop_too(
    site: Site,
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
    log: pytest.LogCaptureFixture,
) -> None:
    """As outside of it."""
    monkeypatch.setattr(cache, "get_loaded_ring", _fail)
    monkeypatch.setattr(cache, "get_verification_key", _fail)
    assert _get("/coroutine/", session.bearer).json()["user"] == ""
    assert "Access tokens can't be verified" in log.text


def test_async_view_sees_nobody_if_the_user_has_gone(
    site: Site, session: Session, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis brings a user that isn't read yet; the row may be gone when it is."""

    async def unread(backend: Any, token: Any, text: str) -> Any:
        return lazy_user(get_user_model(), token.subject)

    monkeypatch.setattr(DatabaseRevocation, "aget_presented_user", unread)
    assert _get("/coroutine/", session.bearer).json()["user"] == user.get_username()
    type(user)._default_manager.filter(pk=user.pk).update(is_active=False)
    assert _get("/coroutine/", session.bearer).json()["user"] == ""


def test_async_chain_without_sessions_has_an_anonymous_user(db: None, settings: Settings) -> None:
    """The middleware runs in the loop itself."""
    settings.MIDDLEWARE = ["jwt_auth.middleware.JWTUserMiddleware"]
    assert _get("/coroutine/", {}).json() == {"user": "", "sid": None}


@pytest.mark.parametrize("has_token", [True, False])
def test_answer_says_that_it_depends_on_the_header(
    site: Site, session: Session, has_token: bool
) -> None:
    """A cache would give one user's page to another, or that of nobody."""
    answer = site.get("/plain/", headers=session.bearer if has_token else {})
    assert "Authorization" in answer["Vary"]


_tenant = ContextVar("_tenant", default="first")


def tenant_of_request() -> str:
    return _tenant.get()


def switch(get_response: Callable[[HttpRequest], HttpResponse]) -> Any:
    """A project's middleware that finds out the tenant too late."""

    def middleware(request: Any) -> HttpResponse:
        ended = RefreshTokenFamily.objects.deciding().filter(pk=request.headers["X-Ended"])
        ended.end(reason=Reason.LOGOUT, ip_address=None, now=datetime.now(UTC))
        before = _tenant.set(request.headers["X-Tenant"])
        try:
            return get_response(request)
        finally:
            _tenant.reset(before)

    return middleware


@pytest.mark.parametrize(("tenant", "status"), [("first", 200), ("second", 401)])
def test_verdict_counts_in_its_own_tenant(
    session: Session, settings: Settings, tenant: str, status: int
) -> None:
    """A token of one tenant is good for nothing at another."""
    settings.JWT_AUTH_TENANT = f"{__name__}.tenant_of_request"
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.switch"]
    headers = {**session.bearer, "X-Ended": str(session.id), "X-Tenant": tenant}
    assert Site().get("/both/", headers=headers).status_code == status


# ---- With the access token in a cookie


@pytest.fixture
def page(settings: Settings, credentials: dict[str, str]) -> Site:
    """A browser that has logged in, and that Django's CSRF protection looks at."""
    settings.JWT_AUTH_ACCESS_COOKIE_NAME = ACCESS_COOKIE
    page = Site(enforce_csrf_checks=True)
    answer = page.post("login/", credentials, headers={"Sec-Fetch-Site": "same-origin"})
    page.csrf_token = answer.json()["csrf_token"]  # type: ignore[attr-defined]  # for one test
    return page


def test_cookie_counts_for_a_page_of_the_project(page: Site) -> None:
    """And caches are told that the answer depends on it."""
    answer = page.get("/plain/", headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.json()["user"] != ""
    assert "Cookie" in answer["Vary"]


def test_cookie_does_not_count_for_a_page_of_another_site(page: Site) -> None:
    """A browser attaches it to any request."""
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    assert page.get("/plain/", headers=headers).json() == {"user": "", "sid": None}


def test_cookie_needs_the_csrf_token_for_a_change(page: Site) -> None:
    """Even where the view is exempt: that is said of Django's own check."""
    own = {"Sec-Fetch-Site": "same-origin", "Origin": "https://testserver"}
    assert page.post("/plain/", headers=own).json()["user"] == ""
    token = {"X-CSRFToken": page.csrf_token}  # type: ignore[attr-defined]  # set by the fixture
    assert page.post("/plain/", headers={**own, **token}).json()["user"] != ""
