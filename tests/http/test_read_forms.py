"""Bodies that a middleware has read before the endpoint: no 500."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings as current
from django.http import HttpResponse
from pytest_django import Settings

from tests.http.site import MOBILE, MOUNT, Session, Site

pytestmark = pytest.mark.smoke

MULTIPART, FORM, JSON = "multipart", "application/x-www-form-urlencoded", "json"


class FormReader:
    """Looks at the form, as a firewall or a tracer does."""

    def __init__(self, get_response: Callable[[Any], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> HttpResponse:
        """Read it and go on."""
        len(request.POST)
        return self.get_response(request)


class StreamReader(FormReader):
    """Reads the body and leaves nothing of it."""

    def __call__(self, request: Any) -> HttpResponse:
        """Read it and go on."""
        request.read()
        return self.get_response(request)


@pytest.fixture
def site(settings: Settings, db: None) -> Site:
    """A client behind the middleware that reads forms."""
    settings.MIDDLEWARE = [f"{__name__}.FormReader", *current.MIDDLEWARE]
    return Site()


@pytest.fixture
def body(credentials: dict[str, str], session: Session) -> dict[str, str]:
    """What any of the endpoints takes."""
    return {
        **credentials,
        "refresh_token": session.refresh_token,
        "old_password": credentials["password"],
        "new_password": "another staple, a horse",
    }


#: What each endpoint answers.
ENDPOINTS = {
    f"{mount}{path}": status
    for mount in (MOUNT, MOBILE)
    for path, status in {
        "login/": 200,
        "refresh/": 200,
        "logout/": 204,
        "logout-all/": 204,
        "password/change/": 200,
    }.items()
}


def _post(site: Site, path: str, body: dict[str, str], content_type: str, session: Session) -> Any:
    if content_type == FORM:
        text = "&".join(f"{name}={value}" for name, value in body.items())
        return site.post(path, text, content_type=FORM, headers=session.bearer)
    return site.post(path, body, format=content_type, headers=session.bearer)


@pytest.mark.parametrize("content_type", [MULTIPART, FORM, JSON])
@pytest.mark.parametrize("path", ENDPOINTS)
def test_form_that_a_middleware_has_read_is_taken_as_it_is(
    path: str, content_type: str, site: Site, session: Session, body: dict[str, str]
) -> None:
    """Django has made a form of it already."""
    answer = _post(site, path, body, content_type, session)
    assert answer.status_code == ENDPOINTS[path], answer.content


@pytest.mark.parametrize("content_type", [MULTIPART, FORM, JSON])
@pytest.mark.parametrize("path", ENDPOINTS)
def test_body_that_a_middleware_has_used_up_is_empty(
    path: str, content_type: str, session: Session, body: dict[str, str], settings: Settings
) -> None:
    """The fields are missing, and the client hears it."""
    settings.MIDDLEWARE = [f"{__name__}.StreamReader", *current.MIDDLEWARE]
    answer = _post(Site(), path, body, content_type, session)
    assert answer.status_code in {204, 400, 401}, answer.content


def test_form_that_a_middleware_has_read_is_bounded_all_the_same(site: Site) -> None:
    """By the length that was announced, which is all that was read."""
    answer = site.post("login/", {"username": "x" * 20_000}, format="multipart")
    assert answer.status_code == 413


def test_file_is_no_password(site: Site, credentials: dict[str, str]) -> None:
    """Nor is the form of Django's taken without a look."""
    body = (
        f'--b\r\nContent-Disposition: form-data; name="username"\r\n\r\n{credentials["username"]}'
        '\r\n--b\r\nContent-Disposition: form-data; name="password"; filename="x"\r\n\r\nx'
        "\r\n--b--\r\n"
    )
    answer = site.generic("POST", "login/", body, "multipart/form-data; boundary=b")
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid"
