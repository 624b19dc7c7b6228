"""What a user, a thief and an operator do in turn, over HTTPS and between processes."""

from __future__ import annotations

from http.cookiejar import CookieJar
from typing import cast

import jwt
import pytest
import requests

from tests.live.site import PASSWORD, Server, Site, bearer
from tests.live.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.example]

COOKIE = "__Secure-refresh_token"


def log_in(client: requests.Session, username: str = "alice") -> str:
    """Log in; give the access token, the cookie stays with the client."""
    answer = client.post("/api/auth/login/", json={"username": username, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def refresh(client: requests.Session) -> str:
    """Refresh by the cookie; give the new access token."""
    answer = client.post("/api/auth/refresh/")
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def hello(client: requests.Session, token: str) -> int:
    """Call an endpoint that asks for a user; give the status."""
    return client.get("/api/hello/", headers=bearer(token)).status_code


def kid_of(token: str) -> str:
    """Read which key has signed."""
    return str(jwt.get_unverified_header(token)["kid"])


def test_session_goes_from_log_in_over_refresh_to_logout(client: requests.Session) -> None:
    """A session lives through refreshes, and logging out ends its token and its cookie at once."""
    first = log_in(client)
    second = refresh(client)
    assert hello(client, first) == hello(client, second) == 200
    kept = client.cookies[COOKIE]
    assert client.post("/api/auth/logout/").status_code == 204
    assert COOKIE not in client.cookies
    assert hello(client, first) == hello(client, second) == 401
    client.headers["Cookie"] = f"{COOKIE}={kept}"
    assert client.post("/api/auth/refresh/").status_code == 401


def test_replayed_cookie_ends_the_family_in_every_worker(client: requests.Session) -> None:
    """A consumed cookie that comes back ends its session, the access tokens and the new cookie."""
    log_in(client)
    old = client.cookies[COOKIE]
    token = refresh(client)
    new = client.cookies[COOKIE]
    client.cookies.clear()
    for cookie in (old, new):
        answer = client.post("/api/auth/refresh/", headers={"Cookie": f"{COOKIE}={cookie}"})
        assert answer.status_code == 401
        assert answer.json()["code"] == "invalid_refresh_token"
    # A new connection each time, so that both workers are asked.
    client.headers["Connection"] = "close"
    assert {hello(client, token) for _ in range(8)} == {401}
    assert hello(client, log_in(client)) == 200


def test_key_rotated_by_another_process_is_followed_without_a_restart(
    site: Site, client: requests.Session
) -> None:
    """After `rotate_keys --now` new tokens carry the new kid, and old ones are still good."""
    old = log_in(client)
    site.manage("rotate_keys", "--now")
    wait_until(lambda: kid_of(refresh(client)) != kid_of(old), "a worker signs with the new key")
    new = kid_of(refresh(client))
    listed = client.get("/.well-known/jwks.json").json()["keys"]
    assert {kid_of(old), new} <= {key["kid"] for key in listed}
    assert hello(client, old) == 200
    assert client.post("/api/auth/logout/").status_code == 204
    assert hello(client, old) == 401


def test_worker_with_an_old_ring_accepts_a_token_of_the_new_key(site: Site) -> None:
    """A kid that a worker does not know yet is looked up, long before the reload interval."""
    patient = site.using(JWT_AUTH_KEY_RELOAD_INTERVAL="3600", JWT_AUTH_KEY_PUBLISH_AHEAD="7200")
    with patient.serve() as server:
        (old, *_) = server.ask_many(log_in)
        wait_until(lambda: server.uses_everywhere(kid_of(old)), "both workers have loaded the ring")
        site.manage("rotate_keys", "--now")
        server.kill_worker()  # its successor starts with the new ring, the other has the old one
        new = log_in_until_signed_anew(server, kid_of(old))
        assert not server.uses_everywhere(kid_of(new))
        wait_until(lambda: is_accepted_by_all(server, new), "the other worker has been asked")


def log_in_until_signed_anew(server: Server, old_kid: str) -> str:
    """Give a token of the worker that has the new ring."""
    found: list[str] = []

    def is_signed_anew() -> bool:
        found[:] = [token for token in server.ask_many(log_in) if kid_of(token) != old_kid]
        return bool(found)

    wait_until(is_signed_anew, "a worker signs with the new key")
    return found[0]


def is_accepted_by_all(server: Server, token: str) -> bool:
    """See that nobody refuses it; tell whether every worker has its key by now."""
    assert set(server.ask_many(lambda client: hello(client, token))) == {200}
    return server.uses_everywhere(kid_of(token))


def test_refresh_cookie_has_every_attribute_on_the_wire(client: requests.Session) -> None:
    """The cookie is for this path, HTTPS and the browser alone, and goes with the same names."""
    log_in(client)
    (cookie,) = cast(CookieJar, client.cookies)  # the stubs have it give names
    assert (cookie.name, cookie.path, cookie.secure) == (COOKIE, "/api/auth/", True)
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert cookie.get_nonstandard_attr("SameSite") == "Strict"
