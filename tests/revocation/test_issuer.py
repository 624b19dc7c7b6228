"""A question to the issuer about a token: which answers say something, and how long it may take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from jwt_auth.exceptions import AccessTokenRefused, Refusal, RevocationUnknown
from jwt_auth.http.api_exceptions import CHALLENGE, INVALID_TOKEN_CHALLENGE
from jwt_auth.revocation.issuer import Issuer
from tests.keys.remote.service import Answer, Service

GOOD = Answer(status=204)
REFUSED = Answer(status=401, headers={"WWW-Authenticate": INVALID_TOKEN_CHALLENGE})
TEXT = "header.payload.s3cret"


@pytest.fixture
def service() -> Iterator[Service]:
    with Service(lambda request: GOOD).running() as service:
        yield service


def issuer_at(service: Service, *, timeout: float = 30) -> Issuer:
    return Issuer(f"http://127.0.0.1:{service.port}/verify/?key=hidden", timeout=timeout)


def reason_of(issuer: Issuer) -> str:
    """Why the issuer could not be asked, without the token and without the query."""
    with pytest.raises(RevocationUnknown) as unknown:
        issuer.require_good(TEXT)
    assert not any(secret in str(unknown.value) for secret in ("s3cret", "hidden", "Bearer"))
    return str(unknown.value)


def test_token_is_shown_as_a_client_would_show_it(service: Service) -> None:
    """Once, in the header; a 204 says that it is good."""
    issuer_at(service).require_good(TEXT)
    (request,) = service.requests
    assert (request.method, request.path) == ("GET", "/verify/?key=hidden")
    assert request.headers["Authorization"] == f"Bearer {TEXT}"


def test_refused_token_is_refused(service: Service) -> None:
    """The issuer doesn't say why."""
    service.always = REFUSED
    with pytest.raises(AccessTokenRefused) as refused:
        issuer_at(service).require_good(TEXT)
    assert refused.value.reason is Refusal.REFUSED_BY_ISSUER


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=401),
        Answer(status=401, headers={"WWW-Authenticate": CHALLENGE}),
        Answer(status=401, headers={"WWW-Authenticate": 'Basic realm="gate"'}),
        Answer(status=200, body=b"<html>"),
        Answer(status=302, headers={"Location": "/login/"}),
        Answer(status=403),
        Answer(status=404),
        Answer(status=429),
        Answer(status=500),
        Answer(status=503, body=b"x" * 100_000),
        Answer(status=204, headers={"Content-Encoding": "gzip"}),
    ],
    ids=lambda answer: f"{answer.status}{sorted(answer.headers)}",
)
def test_any_other_answer_says_nothing_about_the_token(service: Service, answer: Answer) -> None:
    """Least of all the 401 of a proxy that has dropped the header: clients would log out."""
    service.always = answer
    assert reason_of(issuer_at(service)).startswith(f"http://127.0.0.1:{service.port}/verify/ ")
    assert len(service.requests) == 1


def test_issuer_that_is_away_can_not_be_asked(service: Service) -> None:
    """The reason is for the log."""
    with service.being_away():
        assert "can't be fetched" in reason_of(issuer_at(service))


def test_issuer_that_hangs_is_waited_for_until_the_deadline(service: Service) -> None:
    """However many requests wait: each has its own deadline, and later ones still get through."""
    issuer = issuer_at(service, timeout=0.2)
    with service.holding(), ThreadPoolExecutor(40) as pool:
        reasons = list(pool.map(lambda _: reason_of(issuer), range(40)))
    assert all("0.2 seconds" in reason for reason in reasons)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            issuer_at(service).require_good(TEXT)
        except RevocationUnknown:
            continue
        return
    raise AssertionError("the issuer isn't asked any more")


def test_requests_that_wait_for_the_issuer_are_limited(service: Service) -> None:
    """A service whose Redis has failed doesn't send all of its load at once."""
    issuer = issuer_at(service)
    with ThreadPoolExecutor(40) as pool:
        with service.holding():
            waiting = [pool.submit(issuer.require_good, TEXT) for _ in range(40)]
            deadline = time.monotonic() + 60
            while len(service.requests) < 16:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert len(service.requests) == 16
        assert [each.result() for each in waiting] == [None] * 40
    assert len(service.requests) == 40


def test_address_is_judged() -> None:
    """As that of the keys: over TLS, unless it is on this machine."""
    assert Issuer("https://auth.example.com/verify/", timeout=1).find_fault() == ""
    assert "https://" in Issuer("http://auth.example.com/verify/", timeout=1).find_fault()


def test_question_without_a_token_must_be_refused(service: Service) -> None:
    """That tells whether the address is right."""
    service.always = Answer(status=401)
    assert issuer_at(service).find_failure() == ""
    service.always = Answer(status=404)
    assert "answered 404 to a request without a token" in issuer_at(service).find_failure()
    with service.being_away():
        assert "can't be fetched" in issuer_at(service).find_failure()
