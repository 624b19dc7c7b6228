"""The access token in a cookie, where JWT_AUTH_ACCESS_COOKIE_NAME turns that on."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.test import override_settings
from django.urls import include, path
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from jwt_auth.models import RefreshTokenFamily, RevokedToken
from tests.http.site import COOKIE, MOBILE, Session, Site, everything

pytestmark = pytest.mark.smoke

NAME = "__Host-access_token"
OWN = {"Origin": "https://testserver", "Sec-Fetch-Site": "same-origin"}


class EchoView(APIView):
    """A project's own view that anybody may call."""

    permission_classes = (AllowAny,)

    def get(self, request: Request) -> Response:
        """Say who calls."""
        return Response({"user": request.user.get_username()})

    post = get


urlpatterns = [
    path("api/auth/", include("jwt_auth.urls")),
    path("api/mobile/auth/", include("jwt_auth.urls.body")),
    path("api/echo/", EchoView.as_view()),
]


@pytest.fixture(autouse=True)
def _turned_on(settings: Settings) -> None:
    settings.JWT_AUTH_ACCESS_COOKIE_NAME = NAME
    settings.ROOT_URLCONF = "tests.http.test_access_cookie"


@pytest.fixture
def page(db: None) -> Site:
    """A browser's page: its cookies go along, and Django checks them as in production."""
    return Site(enforce_csrf_checks=True)


@pytest.fixture
def csrf(page: Site, credentials: dict[str, str]) -> dict[str, str]:
    """Log in; give the headers that the page sends from then on."""
    answer = page.post("login/", credentials, headers=OWN)
    assert answer.status_code == 200
    return {"X-CSRFToken": answer.json()["csrf_token"], **OWN}


# Set and deleted


def test_turned_off_nothing_is_set_nor_read(
    site: Site, credentials: dict[str, str], settings: Settings
) -> None:
    """As it is by default: one cookie, no token of CSRF, and a cookie of any name is nobody."""
    settings.JWT_AUTH_ACCESS_COOKIE_NAME = None
    answer = site.post("login/", credentials)
    assert set(answer.cookies) == {COOKIE}
    assert set(answer.json()) == {"access_token", "token_type", "expires_in"}
    token = answer.json()["access_token"]
    got = site.get("me/", headers={"Cookie": f"{NAME}={token}; None={token}; ={token}"})
    assert (got.status_code, got.json()["code"]) == (401, "not_authenticated")
    assert "Cookie" not in got.get("Vary", "")
    assert set(site.post("logout/").cookies) == {COOKIE}


def test_token_that_no_cookie_takes_is_in_the_body_only(
    page: Site, credentials: dict[str, str], settings: Settings, log: pytest.LogCaptureFixture
) -> None:
    """Browsers would drop the cookie in silence and keep the former: it is deleted, and logged."""
    settings.JWT_AUTH_CLAIMS = "tests.http.test_access_cookie.endless_claims"
    answer = page.post("login/", credentials)
    assert answer.status_code == 200
    assert answer.cookies[NAME]["max-age"] == 0
    (record,) = [record for record in log.records if record.levelno == logging.ERROR]
    assert "too long for a cookie" in record.getMessage()
    assert answer.json()["access_token"] not in log.text


def endless_claims(user: object) -> dict[str, str]:
    """Claims that make a token longer than a cookie may be."""
    return {"note": "x" * 3500}


def test_longest_cookie_that_browsers_take_is_set(
    page: Site, credentials: dict[str, str], settings: Settings
) -> None:
    """Name and value together count, 4096 octets (RFC 6265bis §5.6)."""
    token = page.post("login/", credentials).json()["access_token"]
    for size, is_set in ((4096, True), (4097, False)):
        name = settings.JWT_AUTH_ACCESS_COOKIE_NAME = "n" * (size - len(token))
        answer = page.post("login/", credentials)
        assert len(answer.json()["access_token"]) == len(token)
        assert bool(answer.cookies[name].value) == is_set


def test_clients_without_a_cookie_jar_get_no_cookie(
    page: Site, credentials: dict[str, str]
) -> None:
    """The body transport is for those."""
    answer = page.post(f"{MOBILE}login/", credentials)
    assert answer.status_code == 200
    assert not answer.cookies
    assert "csrf_token" not in answer.json()


# Read


def test_cookie_authenticates(page: Site, csrf: dict[str, str], credentials: Any) -> None:
    """The package's endpoints and the project's own views, with the one class."""
    assert page.get("me/", headers=OWN).json()["username"] == credentials["username"]
    assert page.get("/api/echo/", headers=OWN).json()["user"] == credentials["username"]
    (session,) = page.get("sessions/", headers=OWN).json()
    assert session["current"] is True


@pytest.mark.parametrize("scheme", ["Bearer", "Basic", "Token", ""])
def test_header_wins_over_the_cookie(scheme: str, page: Site, csrf: dict[str, str]) -> None:
    """Whoever writes a header is taken by it alone, and needs no other credential's check."""
    answer = page.get("me/", headers={**OWN, "Authorization": f"{scheme} x"})
    assert answer.status_code == 401
    assert answer.json()["code"] == ("invalid_token" if scheme == "Bearer" else "not_authenticated")


def test_cookie_with_another_users_header_is_the_headers_user(
    page: Site, csrf: dict[str, str], bobs: Session
) -> None:
    """No mixing: neither the user nor the CSRF check of the cookie. No page of another site can
    write the header.
    """
    bob = RefreshTokenFamily.objects.get(pk=bobs.id).user
    headers = {**bobs.bearer, "Origin": "https://evil.example"}
    assert page.post("/api/echo/", headers=headers).json()["user"] == bob.get_username()
    assert page.post("logout-all/", headers=headers).status_code == 204
    ended = RefreshTokenFamily.objects.exclude(revoked_at=None)
    assert [family.user.get_username() for family in ended] == [bob.get_username()]


def test_refused_cookie_is_answered_and_recorded_as_a_header_would_be(
    page: Site, csrf: dict[str, str], log: pytest.LogCaptureFixture
) -> None:
    """RFC 6750's challenge tells the client to refresh; the log has the reason."""
    Site().post("logout/", headers={"Cookie": f"{COOKIE}={page.cookies[COOKIE].value}"})
    answer = page.get("me/", headers=OWN)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
    assert 'error="invalid_token"' in answer["WWW-Authenticate"]
    assert "token_refused" in log.text
    assert page.cookies[NAME].value not in log.text


def test_deleted_cookie_that_a_client_keeps_is_nobody(page: Site, csrf: dict[str, str]) -> None:
    """Some keep it without a value, rather than not at all: that is no refused token."""
    assert page.post("logout/", headers=csrf).status_code == 204
    assert page.cookies[NAME].value == ""
    for headers in ({}, {"Cookie": f"{NAME}="}, {"Cookie": f'{NAME}=""'}):
        assert page.get("/api/echo/", headers=headers).json() == {"user": ""}


def test_stale_cookie_stops_neither_login_nor_refresh_nor_logout(
    page: Site, csrf: dict[str, str], credentials: dict[str, str]
) -> None:
    """They don't look at it, or pass it over."""
    page.cookies[NAME] = "a.b.c"
    assert page.post("refresh/").status_code == 200
    page.cookies[NAME] = "a.b.c"
    assert page.post("login/", credentials).status_code == 200
    page.cookies[NAME] = "a.b.c"
    assert page.post("logout/").status_code == 204


@pytest.mark.parametrize("setting", ["on, no header", "on, header", "off"])
def test_caches_are_told_that_the_cookie_decides(
    setting: str, page: Site, csrf: dict[str, str], settings: Settings
) -> None:
    """Else a shared cache would give one user's answer to another; nothing said where it is off."""
    if setting == "off":
        settings.JWT_AUTH_ACCESS_COOKIE_NAME = None
    headers = {"Authorization": "Basic x"} if setting == "on, header" else {}
    answer = page.get("/api/echo/", headers={**OWN, **headers})
    assert answer.status_code == 200
    assert ("Cookie" in answer.get("Vary", "")) == (setting != "off")


def test_vary_of_the_view_itself_stays(page: Site, csrf: dict[str, str]) -> None:
    """Cookie is added to what is there."""

    class TwoRenderers(EchoView):
        @property
        def default_response_headers(self) -> dict[str, str]:
            return {"Vary": "Accept"}

    answer = TwoRenderers.as_view()(APIRequestFactory().get("/"))
    assert answer["Vary"] == "Accept, Cookie"


# The CSRF check


@pytest.mark.parametrize(
    ("method", "route"),
    [
        ("post", "logout-all/"),
        ("post", "password/change/"),
        ("delete", "sessions/{session}/"),
        ("post", "/api/echo/"),
    ],
)
def test_unsafe_request_needs_the_csrf_token(
    method: str,
    route: str,
    page: Site,
    csrf: dict[str, str],
    password: str,
    log: pytest.LogCaptureFixture,
) -> None:
    """Without it nothing is done, and the log says so; with it the cookie is enough."""
    route = route.format(session=RefreshTokenFamily.objects.get().pk)
    body = {"old_password": password, "new_password": "another horse entirely"}
    before = everything()
    for headers in (OWN, {**OWN, "X-CSRFToken": "x" * 64}, {**OWN, "X-CSRFToken": ""}):
        answer = getattr(page, method)(route, body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "csrf_failed")
    assert everything() == before
    assert log.text.count("reason='csrf_token'") == 3
    assert getattr(page, method)(route, body, headers=csrf).status_code in {200, 204}


def test_token_of_a_form_field_counts(page: Site, csrf: dict[str, str]) -> None:
    """A plain form of the site's own page works, as with Django's own views."""
    form = {"csrfmiddlewaretoken": csrf["X-CSRFToken"]}
    assert page.post("/api/echo/", form, format="multipart", headers=OWN).status_code == 200
    assert page.post("/api/echo/", {}, format="multipart", headers=OWN).status_code == 403


def test_logout_by_the_access_cookie_alone_needs_the_csrf_token(
    page: Site, csrf: dict[str, str]
) -> None:
    """With it the session ends, and the token's jti is denied."""
    del page.cookies[COOKIE]
    answer = page.post("logout/", headers=OWN)
    assert (answer.status_code, answer.json()["code"]) == (403, "csrf_failed")
    assert RefreshTokenFamily.objects.get().revoked_at is None
    assert page.post("logout/", headers=csrf).status_code == 204
    assert RefreshTokenFamily.objects.get().revoked_at is not None
    assert RevokedToken.objects.count() == 1


def test_logout_by_both_cookies_works_without_the_csrf_token(
    page: Site, csrf: dict[str, str]
) -> None:
    """As it did before the access cookie: the refresh cookie ends the session, and that alone."""
    assert page.post("logout/", headers=OWN).status_code == 204
    assert RefreshTokenFamily.objects.get().revoked_at is not None
    assert RevokedToken.objects.count() == 0


def test_login_and_refresh_need_no_csrf_token(page: Site, credentials: dict[str, str]) -> None:
    """They have the origin check; a page that is opened anew has no token yet, and gets one."""
    for path_, body in (("login/", credentials), ("refresh/", None)):
        answer = page.post(path_, body, headers=OWN)
        assert answer.status_code == 200
        assert len(answer.json()["csrf_token"]) == 64
        assert "csrftoken" in answer.cookies


def test_refresh_keeps_the_csrf_secret_and_login_changes_it(
    page: Site, csrf: dict[str, str], credentials: dict[str, str]
) -> None:
    """Other tabs go on after a refresh; after a log-in, a secret planted before counts no more."""
    secret = page.cookies["csrftoken"].value
    page.post("refresh/", headers=OWN)
    assert page.cookies["csrftoken"].value == secret
    page.post("login/", credentials, headers=OWN)
    assert page.cookies["csrftoken"].value != secret
    assert page.post("/api/echo/", headers=csrf).status_code == 403


@pytest.mark.parametrize("own", [{"CSRF_USE_SESSIONS": True}, {"CSRF_COOKIE_HTTPONLY": True}])
def test_csrf_token_that_no_script_can_read_is_in_the_answer(
    own: dict[str, bool], page: Site, credentials: dict[str, str]
) -> None:
    """In a session or in an HttpOnly cookie: the token response has it."""
    with override_settings(**own):
        answer = page.post("login/", credentials, headers=OWN)
        assert ("csrftoken" in answer.cookies) == ("CSRF_USE_SESSIONS" not in own)
        token = answer.json()["csrf_token"]
        assert page.post("/api/echo/", headers=OWN).status_code == 403
        assert page.post("/api/echo/", headers={**OWN, "X-CSRFToken": token}).status_code == 200


def test_trusted_origin_passes_with_the_token(
    page: Site, csrf: dict[str, str], settings: Settings
) -> None:
    """A front end on a sibling subdomain, by CSRF_TRUSTED_ORIGINS."""
    origin = "https://app.example.com"
    headers = {**csrf, "Origin": origin, "Sec-Fetch-Site": "same-site"}
    assert page.post("/api/echo/", headers=headers).status_code == 403
    settings.CSRF_TRUSTED_ORIGINS = [origin]
    assert page.post("/api/echo/", headers=headers).status_code == 200
    del headers["X-CSRFToken"]
    assert page.post("/api/echo/", headers=headers).status_code == 403
    assert page.get("/api/echo/", headers=headers).status_code == 200


def test_check_is_made_without_djangos_middleware(
    page: Site, csrf: dict[str, str], settings: Settings
) -> None:
    """The class reads the secret itself, so that leaving the middleware out opens nothing."""
    settings.MIDDLEWARE = []
    bare = Site(enforce_csrf_checks=True)  # the other one has loaded them
    bare.cookies = page.cookies
    assert bare.post("/api/echo/", headers=csrf).status_code == 200
    assert bare.post("/api/echo/", headers=OWN).status_code == 403


def test_request_without_a_cookie_costs_nothing(
    page: Site, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """Neither SQL nor a CSRF secret."""
    with django_assert_num_queries(0):
        answer = page.get("/api/echo/")
    assert answer.json() == {"user": ""}
    assert not answer.cookies
