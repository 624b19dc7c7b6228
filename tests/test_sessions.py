"""Sessions for users whom Django's own pages have logged in, by the real admin and its forms."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.sites import AdminSite
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.signals import user_logged_out
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import include, path, set_script_prefix
from pytest_django import Settings

from jwt_auth.exceptions import KeyRingMissing, LogInRefused
from jwt_auth.models import RefreshTokenFamily
from jwt_auth.sessions import open_session
from tests.conftest import MakeUser
from tests.http.site import COOKIE

pytestmark = [pytest.mark.smoke, pytest.mark.sql, pytest.mark.user_model]


class TokenAdminSite(AdminSite):
    """The admin of docs/how-to/django-log-in.md."""

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Log in, and open a session where that was done."""
        response = super().login(request, extra_context)
        if request.method == "POST" and response.status_code == 302:
            open_session(request, response, request.user)
        return response


def later(request: HttpRequest) -> HttpResponse:
    """A page that opens the session at a later request than the log-in's."""
    response = HttpResponse()
    open_session(request, response, request.user)
    return response


admin = TokenAdminSite()
urlpatterns = [
    path("api/auth/", include("jwt_auth.urls")),
    path("admin/", admin.urls),
    path("later/", later),
]


class Nowhere:
    """A URLconf in which the endpoints' mount has a parameter."""

    urlpatterns = [path("t/<str:tenant>/auth/", include("jwt_auth.urls"))]


class Accented:
    """A URLconf whose mount a browser sends quoted."""

    urlpatterns = [path("übung/auth/", include("jwt_auth.urls"))]


@pytest.fixture(autouse=True)
def _urls(settings: Settings) -> None:
    settings.ROOT_URLCONF = "tests.test_sessions"


@pytest.fixture
def staff(make_user: MakeUser) -> AbstractBaseUser:
    """A user who may see the admin."""
    return make_user(is_staff=True)


@pytest.fixture
def browser(db: None) -> Client:
    """A browser that nobody has logged in with."""
    return Client()


def _log_in(browser: Client, user: AbstractBaseUser, password: str, **extra: Any) -> Any:
    form = {"username": user.get_username(), "password": password}
    return browser.post("/admin/login/", form, secure=True, **extra)


def test_log_in_through_the_admin_opens_a_session(
    browser: Client, staff: AbstractBaseUser, password: str
) -> None:
    """The cookie fits the endpoints' path; a refresh there gives the page its access token."""
    answer = _log_in(browser, staff, password, HTTP_USER_AGENT="Firefox")
    assert answer.status_code == 302
    cookie = answer.cookies[COOKIE]
    assert (cookie["path"], cookie["samesite"]) == ("/api/auth/", "Strict")
    assert cookie["httponly"]
    assert cookie["secure"]
    assert "no-store" in answer["Cache-Control"]
    family = RefreshTokenFamily.objects.get()
    assert (family.user.pk, family.user_agent) == (staff.pk, "Firefox")
    token = browser.post("/api/auth/refresh/", secure=True).json()["access_token"]
    me = browser.get("/api/auth/me/", headers={"Authorization": f"Bearer {token}"}, secure=True)
    assert me.json()["username"] == staff.get_username()


def test_cookie_is_the_one_that_the_endpoints_set(
    browser: Client, staff: AbstractBaseUser, password: str
) -> None:
    """Same name, path and attributes: else a refresh would leave two of them."""
    ours = dict(_log_in(browser, staff, password).cookies[COOKIE])
    theirs = dict(browser.post("/api/auth/refresh/", secure=True).cookies[COOKIE])
    # Max-Age and the time of the answer, which may be in the next second.
    assert ours.pop("expires")
    assert theirs.pop("expires")
    assert ours == theirs


def test_access_cookie_is_set_where_it_is_on(
    browser: Client, staff: AbstractBaseUser, password: str, settings: Settings
) -> None:
    """A page of the admin can call the API at once."""
    settings.JWT_AUTH_ACCESS_COOKIE_NAME = "__Host-access_token"
    answer = _log_in(browser, staff, password)
    assert answer.cookies["__Host-access_token"]["max-age"] == 900
    assert browser.get("/api/auth/me/", secure=True).status_code == 200


@pytest.mark.parametrize("case", ["wrong password", "no staff", "inactive"])
def test_refused_log_in_opens_nothing(
    case: str, browser: Client, make_user: MakeUser, password: str
) -> None:
    """The form is shown again, without a cookie."""
    user = make_user(is_staff=case != "no staff", is_active=case != "inactive")
    answer = _log_in(browser, user, "wrong" if case == "wrong password" else password)
    assert answer.status_code == 200
    assert COOKIE not in answer.cookies
    assert not RefreshTokenFamily.objects.exists()


def test_next_log_in_of_the_user_ends_the_session_before(
    browser: Client, staff: AbstractBaseUser, password: str
) -> None:
    """Nobody has its cookie any more, and a Django log-out could not find it."""
    first = _log_in(browser, staff, password).cookies[COOKIE].value
    _log_in(browser, staff, password)
    browser.post("/admin/logout/", secure=True)
    former = Client(headers={"Cookie": f"{COOKIE}={first}"})
    assert former.post("/api/auth/refresh/", secure=True).status_code == 401
    assert not RefreshTokenFamily.objects.filter(revoked_at=None).exists()


def test_log_out_from_the_admin_ends_the_session(
    browser: Client, staff: AbstractBaseUser, password: str
) -> None:
    """Its tokens of both kinds are refused at once; another browser's session goes on."""
    other = Client()
    _log_in(other, staff, password)
    _log_in(browser, staff, password)
    token = browser.post("/api/auth/refresh/", secure=True).json()["access_token"]
    browser.post("/admin/logout/", secure=True)
    assert browser.post("/api/auth/refresh/", secure=True).status_code == 401
    headers = {"Authorization": f"Bearer {token}"}
    assert browser.get("/api/auth/me/", headers=headers, secure=True).status_code == 401
    assert other.post("/api/auth/refresh/", secure=True).status_code == 200
    (reason,) = RefreshTokenFamily.objects.exclude(revoked_at=None).values_list(
        "revocation_reason", flat=True
    )
    assert reason == "logout"


def test_log_out_without_a_session_of_ours_touches_none(
    browser: Client, staff: AbstractBaseUser, password: str
) -> None:
    """Who logged in at the endpoints logs out there."""
    _log_in(Client(), staff, password)
    browser.force_login(staff)  # type: ignore[arg-type]  # typed for one user model
    browser.post("/admin/logout/", secure=True)
    user_logged_out.send(sender=type(staff), request=None, user=staff)
    assert RefreshTokenFamily.objects.filter(revoked_at=None).count() == 1


def test_user_of_a_later_request_gets_a_session(browser: Client, staff: AbstractBaseUser) -> None:
    """The request's lazy user is as good as the one that login() was given."""
    browser.force_login(staff)  # type: ignore[arg-type]  # typed for one user model
    assert COOKIE in browser.get("/later/", secure=True).cookies


def test_session_fixated_before_the_log_in_is_not_taken_over(
    browser: Client, make_user: MakeUser, staff: AbstractBaseUser, password: str
) -> None:
    """A refresh cookie that somebody planted gives way to one of a new session."""
    mallory = make_user("mallory")
    form = {"username": mallory.get_username(), "password": password}
    planted = Client().post("/api/auth/login/", form, secure=True).cookies[COOKIE].value
    browser.cookies[COOKIE] = planted
    _log_in(browser, staff, password)
    assert browser.cookies[COOKIE].value != planted
    token = browser.post("/api/auth/refresh/", secure=True).json()["access_token"]
    me = browser.get("/api/auth/me/", headers={"Authorization": f"Bearer {token}"}, secure=True)
    assert me.json()["username"] == staff.get_username()


def test_limit_of_sessions_holds(
    browser: Client, staff: AbstractBaseUser, password: str, settings: Settings
) -> None:
    """As for a log-in at the endpoints: the oldest one ends."""
    settings.JWT_AUTH_MAX_SESSIONS_PER_USER = 1
    _log_in(Client(), staff, password)
    _log_in(browser, staff, password)
    assert RefreshTokenFamily.objects.filter(revoked_at=None).count() == 1
    assert browser.post("/api/auth/refresh/", secure=True).status_code == 200


def test_nobody_and_the_inactive_get_no_session(user: AbstractBaseUser) -> None:
    """Whatever the caller believes; the user's row is read again."""
    users: Any = type(user)._default_manager
    users.filter(pk=user.pk).update(is_active=False)
    for who in (AnonymousUser(), user):
        response = HttpResponse()
        with pytest.raises(LogInRefused):
            open_session(RequestFactory().get("/"), response, who)
        assert not response.cookies
    assert not RefreshTokenFamily.objects.exists()


def test_missing_keys_leave_neither_a_cookie_nor_a_session(
    user: AbstractBaseUser, settings: Settings, tmp_path: Any
) -> None:
    """The caller decides whether the log-in is to fail for it."""
    options = {"PATH": str(tmp_path / "nowhere")}
    settings.JWT_AUTH_KEY_STORE = {**settings.JWT_AUTH_KEY_STORE, "OPTIONS": options}
    response = HttpResponse()
    with pytest.raises(KeyRingMissing):
        open_session(RequestFactory().get("/"), response, user)
    assert not response.cookies
    assert not RefreshTokenFamily.objects.exists()


def test_request_without_djangos_sessions_is_enough(user: AbstractBaseUser) -> None:
    """For a log-in that keeps no session of Django's; nothing is noted then."""
    response = HttpResponse()
    issued = open_session(RequestFactory().get("/"), response, user)
    assert response.cookies[COOKIE].value == issued.refresh_token.text
    assert issued.access_token.expires_in == 900
    assert response["Cache-Control"] == "no-store"


def test_path_follows_the_mount_with_the_prefix_of_the_site(user: AbstractBaseUser) -> None:
    """A server that is told SCRIPT_NAME sets the prefix, at each request."""
    set_script_prefix("/shop/")
    try:
        response = HttpResponse()
        open_session(RequestFactory().get("/"), response, user)
    finally:
        set_script_prefix("/")
    assert response.cookies[COOKIE]["path"] == "/shop/api/auth/"


def test_path_is_quoted_once(user: AbstractBaseUser, settings: Settings) -> None:
    """As the endpoints write it, from the path that a browser asks for."""
    settings.ROOT_URLCONF = Accented
    response = HttpResponse()
    open_session(RequestFactory().get("/"), response, user)
    browser = Client()
    browser.cookies[COOKIE] = response.cookies[COOKIE].value
    refreshed = browser.post("/übung/auth/refresh/", secure=True).cookies[COOKIE]
    assert response.cookies[COOKIE]["path"] == "/%C3%BCbung/auth/" == refreshed["path"]


@pytest.mark.parametrize("mount", ["/t/acme/auth", "/t/acme/auth/"])
def test_mount_with_a_parameter_has_to_be_given(
    mount: str, user: AbstractBaseUser, settings: Settings
) -> None:
    """Nobody can guess the tenant; with the setting of the path nobody has to."""
    settings.ROOT_URLCONF = Nowhere
    request = RequestFactory().get("/")
    with pytest.raises(ImproperlyConfigured, match="pass the mount to open_session"):
        open_session(request, HttpResponse(), user)
    assert not RefreshTokenFamily.objects.exists()
    response = HttpResponse()
    open_session(request, response, user, mount=mount)
    assert response.cookies[COOKIE]["path"] == "/t/acme/auth/"
    settings.JWT_AUTH_REFRESH_COOKIE_PATH = "/"
    response = HttpResponse()
    open_session(request, response, user)
    assert response.cookies["__Host-refresh_token"]["path"] == "/"
