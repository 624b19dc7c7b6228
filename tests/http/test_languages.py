"""An answer is in one language: the package's texts, REST framework's and Django's."""

from __future__ import annotations

import copy
import json
import pickle
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from babel.messages import Catalog
from babel.messages.mofile import write_mo
from django.http import HttpResponse
from django.test import RequestFactory
from django.utils import translation
from pytest_django import Settings

from jwt_auth.exceptions import AccessTokenRefused, OldPasswordRefused, Refusal, SessionNotFound
from jwt_auth.http.api_exceptions import CHALLENGE, INVALID_TOKEN_CHALLENGE
from jwt_auth.http.user_middleware import JWTUserMiddleware
from tests.http.site import Session, Site

pytestmark = [pytest.mark.smoke, pytest.mark.django_db]

#: As clients ask for them, with the variants of countries, and what they are the same as.
LANGUAGES = ("de", "es", "fr", "ja", "zh-hans")
VARIANTS = {
    "de-AT": "de",
    "de-CH,de;q=0.9,en;q=0.5": "de",
    "es-MX": "es",
    "fr-CA": "fr",
    "ja-JP": "ja",
    "zh-CN": "zh-hans",
    "zh-SG": "zh-hans",
    "nl,fr;q=0.5": "fr",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request, and the status of its answer."""

    status: int
    method: str = "post"
    path: str = "login/"
    body: Any = None
    content_type: str | None = None
    has_token: bool = False
    headers: dict[str, str] = field(default_factory=dict)

    def send(self, session: Session, language: str | None) -> Any:
        """Send it with another client than the session's."""
        headers = dict(self.headers)
        if language is not None:
            headers["Accept-Language"] = language
        if self.has_token:
            headers |= session.bearer
        send = getattr(Site(), self.method)
        answer = send(self.path, self.body, content_type=self.content_type, headers=headers)
        assert answer.status_code == self.status, answer.content
        return answer


REQUESTS = {
    "a field is missing": Request(status=400, body={"username": "alice"}),
    "a field is not a text": Request(status=400, body={"username": 5, "password": ""}),
    "a field is null, one is long": Request(
        status=400, body={"username": None, "password": "x" * 5000}
    ),
    "the user name has another name": Request(status=400, body={"email": "a@b.c", "password": "x"}),
    "the body is a list": Request(status=400, body=[]),
    "the body is broken": Request(status=400, body=b"{", content_type="application/json"),
    "the body is large": Request(status=413, body=b"x" * 20_000, content_type="application/json"),
    "the media type is unknown": Request(status=415, body=b"x", content_type="text/plain"),
    "the method is unknown": Request(status=405, method="get"),
    "the credentials are wrong": Request(status=401, body={"username": "alice", "password": "x"}),
    "another site's page": Request(status=403, headers={"Sec-Fetch-Site": "cross-site"}),
    "no token": Request(status=401, method="get", path="me/"),
    "a wrong token": Request(
        status=401, method="get", path="me/", headers={"Authorization": "Bearer x"}
    ),
    "no refresh token": Request(status=401, path="refresh/"),
    "the old password is wrong": Request(
        status=400,
        path="password/change/",
        body={"old_password": "x", "new_password": "staple battery horse correct"},
        has_token=True,
    ),
    "the new password is weak": Request(
        status=400,
        path="password/change/",
        body={"old_password": "correct horse battery staple", "new_password": "12345"},
        has_token=True,
    ),
    "no such session": Request(
        status=404, method="delete", path=f"sessions/{UUID(int=1)}/", has_token=True
    ),
    "no boolean": Request(
        status=400, body={"username": "alice", "password": "x", "remember_me": "maybe"}
    ),
    "no address": Request(status=400, path="password/reset/", body={"email": "alice"}),
    "a wrong one-time token": Request(status=400, path="email/confirm/", body={"token": "x"}),
    "a wrong token for a reset": Request(
        status=400, path="password/reset/confirm/", body={"token": "x", "new_password": "12345"}
    ),
    "a service without credentials": Request(status=401, path="introspect/"),
}


def _texts(body: Any) -> Iterator[str]:
    """All texts of an answer for people, in their order."""
    if isinstance(body, dict):
        for name, value in body.items():
            if name != "code":
                yield from _texts(value)
    elif isinstance(body, list):
        for value in body:
            yield from _texts(value)
    else:
        yield str(body)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("situation", REQUESTS)
def test_answer_has_no_text_in_english(
    situation: str, language: str, session: Session, settings: Settings
) -> None:
    """Every text differs from its English one, and the code doesn't."""
    settings.JWT_AUTH_PASSWORD_RESET_URL = "https://app.example.com/reset#token={token}"
    english = REQUESTS[situation].send(session, "en").json()
    answer = REQUESTS[situation].send(session, language)
    pairs = list(zip(_texts(english), _texts(answer.json()), strict=True))
    assert pairs
    assert [text for text, translated in pairs if text == translated] == []
    assert answer.json()["code"] == english["code"]
    assert answer["Content-Language"] == language
    assert "Accept-Language" in answer["Vary"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_throttled_request_is_told_so_in_one_language(language: str, settings: Settings) -> None:
    """Both sentences are REST framework's; it lacks the second one in some languages."""
    settings.JWT_AUTH_THROTTLE_RATES = {"login_address": "1/hour"}
    body = {"username": "alice", "password": "x"}
    Site().post("login/", body)
    answer = Site().post("login/", body, headers={"Accept-Language": language})
    assert (answer.status_code, answer.json()["code"]) == (429, "throttled")
    assert not re.search("Request was|Expected", answer.json()["detail"])
    assert re.search(r"\d{4}", answer.json()["detail"])


@pytest.mark.parametrize(("asked", "given"), VARIANTS.items())
@pytest.mark.parametrize(
    "situation", ["a field is not a text", "the new password is weak", "a wrong token"]
)
def test_variant_of_a_country_is_answered_in_the_language(
    asked: str, given: str, situation: str, session: Session
) -> None:
    """All catalogs fall back to the same language."""
    answers = [REQUESTS[situation].send(session, language).json() for language in (asked, given)]
    assert answers[0] == answers[1]


@pytest.mark.parametrize("default", ["en", "ja"])
def test_unknown_language_gets_the_default_one(
    default: str, session: Session, settings: Settings
) -> None:
    """LANGUAGE_CODE is for clients that ask for a language without a catalog, or for none."""
    settings.LANGUAGE_CODE = default
    request = REQUESTS["a field is not a text"]
    answers = [request.send(session, language).json() for language in ("tlh", None, default)]
    assert answers[0] == answers[1] == answers[2]


def test_project_without_the_middleware_answers_in_its_language(
    session: Session, settings: Settings
) -> None:
    """It has one language for all clients."""
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "Locale" not in name]
    settings.LANGUAGE_CODE = "fr"
    answer = REQUESTS["the old password is wrong"].send(session, "de")
    assert "est incorrect." in answer.json()["detail"]
    assert "Content-Language" not in answer


def test_project_can_say_it_in_other_words(
    session: Session, settings: Settings, tmp_path: Path
) -> None:
    """Its own catalog comes first, and lacks all other texts."""
    catalog = Catalog(locale="de")
    catalog.add(OldPasswordRefused.message, "Falsch!")
    file = tmp_path / "de/LC_MESSAGES/django.mo"
    file.parent.mkdir(parents=True)
    with file.open("wb") as compiled:
        write_mo(compiled, catalog)
    settings.LOCALE_PATHS = [tmp_path]
    texts = [
        REQUESTS[situation].send(session, "de").json()["detail"]
        for situation in ("the old password is wrong", "no such session")
    ]
    assert texts == ["Falsch!", "Diese Sitzung gibt es nicht."]


def test_project_without_translations_answers_in_english(
    session: Session, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """USE_I18N = False."""
    settings.USE_I18N = False
    # Django chooses its implementation at the first use.
    monkeypatch.setattr(translation, "_trans", type(vars(translation)["_trans"])())
    answer = REQUESTS["a field is not a text"].send(session, "de")
    assert answer.json()["detail"] == "The request is not valid."


@pytest.mark.parametrize("language", LANGUAGES)
def test_challenge_is_english_in_every_language(language: str, session: Session) -> None:
    """RFC 6750 allows ASCII only in error_description."""
    refused, missing = (
        REQUESTS[situation].send(session, language) for situation in ("a wrong token", "no token")
    )
    assert refused["WWW-Authenticate"] == INVALID_TOKEN_CHALLENGE
    assert missing["WWW-Authenticate"] == CHALLENGE
    assert INVALID_TOKEN_CHALLENGE.isascii()


def test_refusal_outside_of_rest_framework_is_translated_too(rf: RequestFactory) -> None:
    """The middleware answers for views that read a field of a user who has just been deleted."""
    middleware = JWTUserMiddleware(HttpResponse)
    refused = AccessTokenRefused(Refusal.USER_UNKNOWN)
    with translation.override("de"):
        answer = middleware.process_exception(rf.get("/"), refused)
    assert answer is not None
    assert json.loads(answer.content)["detail"].startswith("Das Zugriffstoken")


def test_key_set_is_the_same_in_every_language(session: Session) -> None:
    """A cache that keeps one for each language keeps equal ones, which any ETag revalidates."""
    request = Request(status=200, method="get", path="/.well-known/jwks.json")
    answers = [request.send(session, language) for language in ("en", *LANGUAGES)]
    seen = {(answer.content, answer["ETag"], answer["Cache-Control"]) for answer in answers}
    assert len(seen) == 1
    known = {"If-None-Match": answers[0]["ETag"]}
    again = Request(status=304, method="get", path=request.path, headers=known)
    again.send(session, "ja")


def test_error_is_english_in_logs_and_translated_in_detail() -> None:
    """The language of the request that fails must not decide what an operator reads."""
    error = copy.deepcopy(pickle.loads(pickle.dumps(SessionNotFound())))
    with translation.override("de"):
        assert (str(error), repr(error)) == (SessionNotFound.message, repr(SessionNotFound()))
        assert error.detail == "Diese Sitzung gibt es nicht."
    assert error.detail == SessionNotFound.message
