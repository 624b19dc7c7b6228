"""django-axes and django-allauth beside this package, over HTTPS: their real apps, middleware and
tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.live.conftest import MakeSite
from tests.live.forms import submit
from tests.live.site import PASSWORD, Server, Site, bearer
from tests.neighbours.packages import optional

for _package in ("axes", "allauth"):
    optional(_package)

pytestmark = [pytest.mark.live, pytest.mark.example]

COOKIE = "__Secure-refresh_token"
USERS = ("alice", "bob", "carol", "dave", "erin")


@pytest.fixture(scope="module")
def site(make_site: MakeSite) -> Site:
    """The example project with tests.live.neighbours_settings."""
    return make_site(*USERS, DJANGO_SETTINGS_MODULE="tests.live.neighbours_settings")


@pytest.fixture(scope="module")
def server(site: Site) -> Iterator[Server]:
    """A server of that site."""
    with site.serve() as server:
        yield server


def _attempt(client: requests.Session, user: str, password: str = "wrong") -> requests.Response:
    return client.post("/api/auth/login/", json={"username": user, "password": password})


def _me(client: requests.Session) -> Any:
    refresh = client.post("/api/auth/refresh/")
    assert refresh.status_code == 200, refresh.text
    return client.get("/api/auth/me/", headers=bearer(refresh.json()["access_token"])).json()


# django-axes


def test_lockout_answers_in_the_form_of_all_errors(client: requests.Session) -> None:
    """From the attempt that is one too many, with the right password as well."""
    answers = [_attempt(client, "alice") for _ in range(2)]
    assert {answer.status_code for answer in answers} == {401}
    locked = [_attempt(client, "alice", tried) for tried in ("wrong", "wrong", PASSWORD)]
    for answer in locked:
        assert answer.status_code == 429
        assert set(answer.json()) == {"detail", "code"}
        assert answer.json()["code"] == "locked_out"
        assert answer.headers["Retry-After"] == "3600"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Set-Cookie" not in answer.headers
    assert len({answer.text for answer in locked}) == 1
    assert _attempt(client, "bob", PASSWORD).status_code == 200


def test_unknown_account_is_locked_out_alike(client: requests.Session) -> None:
    """Nobody learns from a lockout that an account is there."""
    answers = [_attempt(client, "nobody") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [401, 401, 429, 429]
    assert answers[-1].json()["code"] == "locked_out"


def test_success_forgets_the_failures_before(client: requests.Session) -> None:
    """AXES_RESET_ON_SUCCESS hears of our log-in by Django's own signal."""
    for _ in range(2):
        assert [_attempt(client, "carol").status_code for _ in range(2)] == [401, 401]
        assert _attempt(client, "carol", PASSWORD).status_code == 200


def test_lockout_ends_no_session(client: requests.Session) -> None:
    """Who guesses at an account logs nobody out."""
    assert _attempt(client, "dave", PASSWORD).status_code == 200
    for _ in range(3):
        _attempt(client, "dave")
    assert _me(client)["username"] == "dave"


def test_lockout_of_a_page_is_axes_own(client: requests.Session, server: Server) -> None:
    """A person at a form reads a sentence, not JSON."""
    for _ in range(2):
        assert submit(client, "/accounts/login/", login="mallory", password="wrong").ok
    answer = submit(client, "/accounts/login/", login="mallory", password="wrong")
    assert answer.status_code == 429
    assert answer.text.startswith("Account locked")


# django-allauth


def test_log_in_through_allauth_opens_a_session(client: requests.Session) -> None:
    """The page finds its session by a refresh; a log-out from allauth ends it."""
    answer = submit(client, "/accounts/login/", login="erin", password=PASSWORD)
    assert answer.status_code == 302, answer.text
    assert f"{COOKIE}=" in answer.headers["Set-Cookie"]
    assert "Path=/api/auth/;" in answer.headers["Set-Cookie"]
    assert _me(client)["username"] == "erin"
    assert submit(client, "/accounts/logout/").status_code == 302
    assert client.post("/api/auth/refresh/").status_code == 401


def test_sign_up_through_allauth_opens_a_session(client: requests.Session) -> None:
    """A new user is logged in by the same adapter."""
    new = {"username": "frank", "email": "frank@example.test"}
    answer = submit(
        client, "/accounts/signup/", **new, password1="a sturdy gate", password2="a sturdy gate"
    )
    assert answer.status_code == 302, answer.text
    assert _me(client)["username"] == "frank"


def test_refused_log_in_through_allauth_opens_nothing(client: requests.Session) -> None:
    """No cookie with the form that is shown again."""
    answer = submit(client, "/accounts/login/", login="bob", password="wrong")
    assert answer.status_code == 200
    assert COOKIE not in answer.headers.get("Set-Cookie", "")
