"""The backend of services that read the issuer's deny feed, over real HTTP."""

from __future__ import annotations

import json
import time
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings

from jwt_auth.exceptions import AccessTokenRefused, Refusal, RevocationUnknown
from jwt_auth.revocation.base import get_backend
from jwt_auth.revocation.denials import Denials, serialize
from jwt_auth.revocation.token_user import TokenUser
from jwt_auth.tokens.claims import AccessToken
from tests.conftest import MakeUser
from tests.keys.remote.service import Answer, Request, Service
from tests.live.waiting import wait_until
from tests.revocation.mapping import everyone_is
from tests.revocation.test_denials import TOKEN as A_TOKEN

BACKEND = "jwt_auth.revocation.deny_feed.DenyFeed"
SECRET = "s3cret: 100%"


def answer(**changes: Any) -> Answer:
    """What the issuer answers now."""
    denials = Denials(
        as_of=int(time.time()), lifetime=900, users={}, sessions=frozenset(), tokens=frozenset()
    )
    return Answer.json(serialize(replace(denials, **changes)))


@pytest.fixture
def issuer(settings: Settings) -> Iterator[Service]:
    """An issuer that has denied nothing; the settings name its feed."""

    def respond(request: Request) -> Answer:
        return answer()

    with Service(respond).running() as issuer:
        settings.JWT_AUTH_REVOCATION = {
            "BACKEND": BACKEND,
            "OPTIONS": {
                "URL": f"http://127.0.0.1:{issuer.port}/denials/",
                "CLIENT_ID": "id",
                "CLIENT_SECRET": SECRET,
            },
        }
        yield issuer


@pytest.fixture
def token() -> AccessToken:
    now = int(time.time())
    return replace(A_TOKEN, issued=now, not_before=now, expires=now + 900)


def _refusal(token: AccessToken) -> Refusal | None:
    try:
        get_backend().get_user(token)
    except AccessTokenRefused as refused:
        return refused.reason
    return None


def test_user_is_made_from_the_claims(issuer: Service, token: AccessToken) -> None:
    """No table is read: the service may have no database at all."""
    user = get_backend().get_user(token)
    assert isinstance(user, TokenUser)
    assert user.pk == token.subject


def test_user_may_be_a_local_one(
    issuer: Service, token: AccessToken, settings: Settings, make_user: MakeUser
) -> None:
    """Whose key needn't be the issuer's."""
    settings.JWT_AUTH_LOCAL_USER = "tests.revocation.mapping.local_user"
    local = make_user("local")
    with everyone_is(local):
        assert get_backend().get_user(token) == local
    assert get_backend().maps_users


def test_denied_token_is_refused(issuer: Service, token: AccessToken) -> None:
    """With the reason that the issuer's own database would give."""
    issuer.always = answer(sessions=frozenset([str(token.session_id)]))
    assert _refusal(token) is Refusal.SESSION_ENDED


def test_client_shows_its_credentials(issuer: Service, token: AccessToken) -> None:
    """As RFC 6749 §2.3.1 writes them, whatever characters they have."""
    get_backend().get_user(token)
    scheme, _, encoded = issuer.requests[0].headers["Authorization"].partition(" ")
    assert (scheme, b64decode(encoded)) == ("Basic", b"id:s3cret%3A+100%25")


@pytest.mark.parametrize(("leeway", "refusal"), [(0, Refusal.EXPIRED), (30, None)])
def test_leeway_is_that_of_the_service(
    issuer: Service, token: AccessToken, settings: Settings, leeway: int, refusal: Refusal | None
) -> None:
    """A token that is accepted in its leeway is judged in it, too."""
    settings.JWT_AUTH_CLOCK_LEEWAY = timedelta(seconds=leeway)
    assert _refusal(replace(token, issued=token.issued - 910)) is refusal


UNUSABLE = {
    "refused": (Answer(status=401), "it answered 401. Check CLIENT_ID and CLIENT_SECRET."),
    "off": (Answer(status=404), "it answered 404. Check URL, and that the issuer has"),
    "away": (Answer(status=503), "it answered 503."),
    "no content": (Answer(status=204), "it answered 204."),
    "empty": (Answer(), "its answer is not JSON."),
    "HTML": (Answer(body=b"<html>maintenance</html>"), "its answer is not JSON."),
    "half": (replace(answer(), cut=20), "can't be fetched"),
    "another object": (Answer.json({"keys": []}), "that this version can read."),
    "huge": (Answer(body=b" " * (16 * 2**20 + 1)), "longer than"),
    "elsewhere": (Answer(status=302, headers={"Location": "file:///etc/passwd"}), "redirects"),
    "stale": (answer(as_of=int(time.time()) - 3600), "its answer is old"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_answer_that_is_no_feed_lets_nobody_in(
    issuer: Service, token: AccessToken, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And replaces no copy. The log and `check --deploy` say why, without the secret."""
    issuer.always, reason = UNUSABLE[case]
    with pytest.raises(RevocationUnknown):
        get_backend().get_user(token)
    wait_until(lambda: caplog.text, "the log says it")
    (problem,) = get_backend().check_server()
    assert problem.id == "jwt_auth.W096"
    for text in (caplog.text, problem.msg):
        assert reason in text
        assert "s3cret" not in text


def test_deployment_check_reads_the_feed(issuer: Service) -> None:
    """Before the first request does."""
    assert get_backend().check_server() == []
    assert [request.path for request in issuer.requests] == ["/denials/"]


def test_answer_of_an_hour_ago_is_not_one_of_a_clock_that_is_ahead(
    issuer: Service, token: AccessToken
) -> None:
    """An issuer whose clock is ahead is believed, and so is one that is a little behind."""
    issuer.always = Answer.json(json.loads(answer(as_of=int(time.time()) + 3600).body))
    assert _refusal(token) is None
