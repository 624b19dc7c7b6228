"""A stolen database gives no usable token; neither does it with SECRET_KEY rotated away."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jwt
import pytest
import requests

from tests.live.site import PASSWORD, Site, bearer
from tests.live.test_transcript import COOKIE, hello, log_in, refresh

pytestmark = [pytest.mark.live, pytest.mark.example]

#: Where the secret lies in a refresh token: after format, family id and generation.
SECRET = slice(1 + 16 + 4, 1 + 16 + 4 + 32)

#: What may stand in a cookie (RFC 6265 §4.1.1); nothing else can be presented.
COOKIE_VALUE = re.compile(r"[!#-+\--:<-\[\]-~]+")


def text_of(value: Any) -> str:
    """Write a value as a dump would show it, binary ones in hex."""
    return bytes(value).hex() if isinstance(value, bytes | memoryview) else str(value)


def spellings(secret: bytes) -> set[str]:
    """Give every way in which a dump could spell a secret."""
    plain, safe = base64.b64encode(secret), base64.urlsafe_b64encode(secret)
    texts = {secret.hex(), plain.decode(), safe.decode()}
    return texts | {text.rstrip("=") for text in texts}


def test_database_dump_holds_no_usable_token(
    client: requests.Session, dump_database: Callable[[], list[Any]]
) -> None:
    """After a log-in, a refresh and a retry no column holds a token or its secret."""
    access = [log_in(client)]
    cookies = [client.cookies[COOKIE]]
    values = dump_database()
    for _ in range(2):  # the second is a retry of the first, whose answer was lost
        client.cookies.clear()
        headers = {"Cookie": f"{COOKIE}={cookies[0]}", "Idempotency-Key": "a-key-of-this-client"}
        answer = client.post("/api/auth/refresh/", headers=headers)
        access.append(answer.json()["access_token"])
        cookies.append(client.cookies[COOKIE])
        values += dump_database()
    assert cookies[1] == cookies[2] != cookies[0]

    dumped = "\n".join(map(text_of, values))
    family = str(jwt.decode(access[0], options={"verify_signature": False})["sid"])
    assert family in dumped or family.replace("-", "") in dumped
    assert "a-key-of-this-client" not in dumped
    for token in access:
        assert token not in dumped
        assert token.rpartition(".")[2] not in dumped
    for cookie in cookies:
        value = base64.urlsafe_b64decode(cookie)
        for spelling in spellings(value) | spellings(value[SECRET]):
            assert spelling not in dumped


def test_no_value_of_a_dump_passes_for_a_token(
    client: requests.Session, dump_database: Callable[[], list[Any]]
) -> None:
    """Each value of the database, sent as a cookie or a bearer token, gets 401 and ends nothing."""
    token = log_in(client)
    refresh(client)
    values = {text_of(value) for value in dump_database()}
    candidates = {value for value in values if COOKIE_VALUE.fullmatch(value)}
    assert len(candidates) > 50
    cookie = client.cookies[COOKIE]
    client.cookies.clear()
    for value in candidates:
        as_cookie = {"Cookie": f"{COOKIE}={value}"}
        assert client.post("/api/auth/refresh/", headers=as_cookie).status_code == 401
        assert client.get("/api/hello/", headers=bearer(value)).status_code == 401
    client.headers["Cookie"] = f"{COOKIE}={cookie}"
    assert hello(client, refresh(client)) == hello(client, token) == 200


def test_session_survives_a_new_secret_key_only_with_its_fallback(site: Site) -> None:
    """SECRET_KEY_FALLBACKS carries sessions over a restart; without it they end with 401."""
    site = replace(site, workers=1)
    old, new = site.settings["SECRET_KEY"], "another-secret-" + "0123456789abcdef" * 3
    with site.serve() as server, server.session() as client:
        token = log_in(client)
        cookies = client.cookies
    both = site.using(SECRET_KEY=new, SECRET_KEY_FALLBACKS=old)
    with both.serve() as server, server.session() as client:
        client.cookies = cookies
        assert hello(client, token) == 200
        carried = client.cookies[COOKIE]
        refresh(client)
        assert client.cookies[COOKIE] != carried
        cookies = client.cookies
    with site.serve() as server, server.session() as client:
        client.cookies = cookies
        answer = client.post("/api/auth/refresh/")
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_refresh_token")
        assert client.post("/api/auth/login/", json={"username": "bob", "password": PASSWORD}).ok
