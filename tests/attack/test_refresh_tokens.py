"""What an attacker can send as a refresh token, over the way of every real request.

Tests without a database fixture show one thing more: a forged token causes no SQL.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from pytest_django import Settings
from rest_framework.test import APIClient

from jwt_auth import flows, signals
from jwt_auth.encoding import base64url_decode, base64url_encode
from jwt_auth.flows import Issued
from jwt_auth.models import Client, RefreshTokenFamily
from jwt_auth.tokens import refresh
from tests.tokens.forging import forge

pytestmark = pytest.mark.sql

CLIENT = Client(ip_address="192.0.2.1", user_agent="attack")
NAME = "__Secure-refresh_token"
URL = "/api/auth/refresh/"


@pytest.fixture
def forgeries() -> Iterator[list[object]]:
    """What the log is told of tokens whose tag is not ours."""
    told: list[object] = []

    def note(**_: Any) -> None:
        told.append(1)

    signals.refresh_token_forged.connect(note)
    yield told
    signals.refresh_token_forged.disconnect(note)


@pytest.fixture
def issued(user: AbstractBaseUser) -> Issued:
    """A session of Alice's."""
    return flows.log_in(user, client=CLIENT, now=datetime.now(UTC))


def _send(api: APIClient, text: str, **headers: Any) -> Any:
    api.cookies.clear()
    return api.post(URL, secure=True, HTTP_COOKIE=f"{NAME}={text}", **headers)


def _refused(answer: Any) -> bool:
    """See the one answer that every refused token gets; its cookie is deleted."""
    assert answer.json() == {
        "detail": "The refresh token is missing, invalid, expired or revoked.",
        "code": "invalid_refresh_token",
    }
    assert answer.cookies[NAME]["max-age"] == 0
    return bool(answer.status_code == 401)


def _rotate_secret_key(settings: Settings) -> None:
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = f"rotated {uuid4()} {uuid4()}"


def _spoilt(text: str, position: int) -> str:
    value = bytearray(base64url_decode(text))
    value[position] ^= 1
    return base64url_encode(bytes(value))


@pytest.mark.parametrize("position", [0, 1, 16, 17, 20, 21, 52, 53, 68])
def test_forged_token_costs_no_sql(position: int, api: APIClient, forgeries: list[object]) -> None:
    """Whichever part is another one: format, family, generation, secret or tag."""
    text = refresh.issue_first(uuid4()).text
    assert _refused(_send(api, _spoilt(text, position)))
    assert len(forgeries) == 1


@pytest.mark.parametrize(
    "text",
    ["a", "a" * 91, "A" * 92, "a" * 93, "a" * 512, "null", "../../etc/passwd", "' OR 1=1 --",
     "e30.e30.e30", "%00", "é" * 92],
)  # fmt: skip
def test_malformed_token_costs_no_sql(text: str, api: APIClient, forgeries: list[object]) -> None:
    """What has no form of ours is refused like any other."""
    assert _refused(_send(api, text))
    assert len(forgeries) == 1


@pytest.mark.parametrize("text", ["", "a" * 513, "a" * 100_000])
def test_cookie_that_no_token_could_be_in_is_not_looked_at(
    text: str, api: APIClient, forgeries: list[object]
) -> None:
    """Empty is missing, and endless is not even forged."""
    answer = _send(api, text)
    assert answer.status_code == 401
    assert answer.json()["code"] == "invalid_refresh_token"
    assert len(forgeries) == (1 if text == "" else 0)


def test_endless_list_of_cookies_is_not_gone_through(
    api: APIClient, forgeries: list[object]
) -> None:
    """One log-out is not to write a thousand records."""
    headers = {"Cookie": f"{NAME}=x; " * 1000}
    answer = api.post("/api/auth/logout/", headers=headers, secure=True)
    assert (answer.status_code, len(forgeries)) == (204, 8)


def test_forged_token_touches_nobodys_session(api: APIClient, issued: Issued) -> None:
    """A forger who knows the family's id, from an access token, can't end it."""
    text = issued.refresh_token.text
    for position in (17, 20, 21, 40, 52, 60, 68):
        assert _refused(_send(api, _spoilt(text, position)))
    assert _send(api, text).status_code == 200


def test_digest_from_a_stolen_database_is_no_token(api: APIClient, issued: Issued) -> None:
    """Nothing that the row holds can be presented."""
    family = RefreshTokenFamily.objects.get()
    assert _refused(_send(api, family.current_digest))
    assert _refused(_send(api, base64url_encode(bytes.fromhex(family.current_digest))))


@pytest.mark.parametrize("is_rotated", [False, True])
def test_row_holds_no_token(is_rotated: bool, api: APIClient, issued: Issued) -> None:
    """Neither text nor secret nor tag, of this token or the one before, in any column."""
    texts = [issued.refresh_token.text]
    if is_rotated:
        texts.append(_send(api, texts[0], HTTP_IDEMPOTENCY_KEY="k").cookies[NAME].value)
    row = repr(RefreshTokenFamily.objects.values().get())
    for text in texts:
        value = base64url_decode(text)
        secret, tag = value[21:53], value[53:]
        assert not [part for part in (text, secret.hex(), tag.hex(), repr(secret)) if part in row]


def test_forger_with_the_secret_key_has_no_token(
    api: APIClient, issued: Issued, forgeries: list[object]
) -> None:
    """Whoever stole SECRET_KEY can make a tag, and still doesn't know the secret."""
    made_up = refresh.issue_first(issued.family.pk)
    assert _refused(_send(api, made_up.text))
    assert forgeries == []
    assert _send(api, issued.refresh_token.text).status_code == 200


def test_token_of_an_unknown_session_is_refused(api: APIClient, db: None) -> None:
    """A genuine tag alone is no session."""
    assert _refused(_send(api, refresh.issue_first(UUID(int=0)).text))


def test_parts_of_two_genuine_tokens_make_none(
    api: APIClient, user: AbstractBaseUser, forgeries: list[object]
) -> None:
    """One's body under the other's tag, wherever they are cut."""
    one, other = (
        base64url_decode(
            flows.log_in(user, client=CLIENT, now=datetime.now(UTC)).refresh_token.text
        )
        for _ in range(2)
    )
    for cut in (17, 40, 53, 61):  # in the secret too: the format and the generation are the same
        assert _refused(_send(api, base64url_encode(one[:cut] + other[cut:])))
    assert RefreshTokenFamily.objects.filter(revoked_at=None).count() == 2
    assert len(forgeries) == 4


def test_access_token_is_no_refresh_token(api: APIClient, issued: Issued) -> None:
    """One opens the API for minutes, the other keeps a session; neither stands for the other."""
    assert _send(api, issued.access_token.text).status_code == 401
    bearer = f"Bearer {issued.refresh_token.text}"
    assert api.get("/api/hello/", secure=True, HTTP_AUTHORIZATION=bearer).status_code == 401


def test_jwt_that_claims_to_be_a_refresh_token_is_refused(api: APIClient) -> None:
    """Other packages have such tokens; here nothing reads them."""
    holder = forge()
    token = holder.token(claims={"token_use": "refresh", "sub": "1"})
    assert _send(api, token).status_code == 401


def test_refresh_token_outside_the_cookie_is_not_read(api: APIClient, issued: Issued) -> None:
    """A query ends up in logs; a body is read only where the project mounts that."""
    text = issued.refresh_token.text
    body = {"refresh_token": text, "refresh": text, NAME: text}
    requests = [
        api.post(f"{URL}?refresh_token={text}&{NAME}={text}", secure=True),
        api.post(URL, body, format="json", secure=True),
        api.post(URL, body, format="multipart", secure=True),
        api.post(URL, secure=True, HTTP_AUTHORIZATION=f"Bearer {text}"),
        api.post(URL, secure=True, HTTP_COOKIE=f"refresh_token={text}; __Host-{NAME}={text}"),
    ]
    assert [answer.status_code for answer in requests] == [401] * len(requests)
    assert _send(api, text).status_code == 200


@pytest.mark.parametrize(
    "cookie",
    ["{0}={1}; {0}={1}", "{0}={1}; {0}=other", "\u2000{0}={1}", "\u00a0{0}={1}", "\u0085{0}={1}",
     "{0}x={1}", '{0}="{1}"', "{0} ={1}"],
)  # fmt: skip
def test_cookie_that_a_neighbour_may_have_planted_is_not_taken(
    cookie: str, api: APIClient, issued: Issued
) -> None:
    """Two of one name, or a name that only looks like ours: none of them counts."""
    header = cookie.format(NAME, issued.refresh_token.text).encode().decode("latin-1")
    assert api.post(URL, secure=True, HTTP_COOKIE=header).status_code == 401
    assert RefreshTokenFamily.objects.get().revoked_at is None


# SECRET_KEY and its fallbacks


def test_session_survives_a_rotation_of_the_secret_key(
    api: APIClient, issued: Issued, settings: Settings
) -> None:
    """While the former key stands among the fallbacks; what is issued since needs it no more."""
    _rotate_secret_key(settings)
    answer = _send(api, issued.refresh_token.text)
    assert answer.status_code == 200
    settings.SECRET_KEY_FALLBACKS = []
    assert _send(api, answer.cookies[NAME].value).status_code == 200


def test_retry_after_a_rotation_of_the_secret_key_gets_the_same_token(
    api: APIClient, issued: Issued, settings: Settings
) -> None:
    """An answer that was lost before the rotation is given again after it."""
    key = {"HTTP_IDEMPOTENCY_KEY": "one"}
    first = _send(api, issued.refresh_token.text, **key).cookies[NAME].value
    _rotate_secret_key(settings)
    retry = _send(api, issued.refresh_token.text, **key)
    assert retry.status_code == 200
    assert retry.cookies[NAME].value == first
    assert RefreshTokenFamily.objects.get().generation == 2


def test_retry_without_the_former_secret_key_is_a_forgery(
    api: APIClient, issued: Issued, settings: Settings, forgeries: list[object]
) -> None:
    """Nobody can know it for ours any more; the session itself isn't ended for it."""
    key = {"HTTP_IDEMPOTENCY_KEY": "one"}
    _send(api, issued.refresh_token.text, **key)
    settings.SECRET_KEY = f"changed {uuid4()} {uuid4()}"
    assert _refused(_send(api, issued.refresh_token.text, **key))
    assert len(forgeries) == 1
    assert RefreshTokenFamily.objects.get().revoked_at is None


def test_reuse_is_still_seen_after_a_rotation_of_the_secret_key(
    api: APIClient, issued: Issued, settings: Settings
) -> None:
    """The former key's tokens prove themselves, so a replay of one ends the session."""
    _send(api, issued.refresh_token.text)
    _rotate_secret_key(settings)
    assert _refused(_send(api, issued.refresh_token.text))
    assert RefreshTokenFamily.objects.get().revocation_reason == "reuse_detected"
