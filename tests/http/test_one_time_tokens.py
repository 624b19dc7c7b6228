"""POST password/reset/, password/reset/confirm/, email/send-confirmation/ and email/confirm/."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from jwt_auth import flows
from jwt_auth.models import UsedOneTimeToken
from tests.flows.scene import BROWSER
from tests.http.services import Service
from tests.http.site import MOBILE, MOUNT, Session, Site, everything, open_session
from tests.keys.issuer import Issuer

pytestmark = [pytest.mark.sql, pytest.mark.user_model, pytest.mark.smoke]

KNOWN, UNKNOWN = "alice@example.com", "bobby@example.com"

NEW = "a quite different horse"

INVALID = {"detail": "The token is invalid, expired or already used.", "code": "invalid_token"}

NO_TEXTS: list[object] = [None, 5, [], {}, "", "\0", "\ud800"]

Dispatched = list[tuple[str, dict[str, str]]]

_dispatched: Dispatched = []


def claims_of(user: AbstractBaseUser) -> dict[str, Any]:
    """Tell services whether the address is confirmed, as OpenID Connect names it."""
    return {"email_verified": flows.is_email_confirmed(user)}


def record(kind: str, **arguments: str) -> None:
    """Stand in the place of a project's dispatcher."""
    _dispatched.append((kind, arguments))


@pytest.fixture
def dispatched(settings: Settings) -> Dispatched:
    """What the dispatcher of the settings is given; both kinds of mail have a page."""
    settings.JWT_AUTH_MAIL_DISPATCHER = f"{__name__}.record"
    settings.JWT_AUTH_PASSWORD_RESET_URL = "https://app.example.com/reset#token={token}"
    settings.JWT_AUTH_EMAIL_CONFIRMATION_URL = "https://app.example.com/confirm#token={token}"
    _dispatched.clear()
    return _dispatched


def _issue(user: AbstractBaseUser, purpose: str) -> str:
    return flows.issue_one_time_token(
        user, purpose=purpose, lifetime=timedelta(hours=1), now=datetime.now(UTC)
    )


def _reset(site: Site, email: object, path: str = "password/reset/", **extra: Any) -> Any:
    return _post(site, path, {"email": email}, **extra)


def _post(site: Site, path: str, body: dict[str, Any], **extra: Any) -> Any:
    """Send a body as a client may that escapes what UTF-8 can't encode."""
    return site.generic("POST", path, json.dumps(body), "application/json", **extra)


# password/reset/


@pytest.mark.parametrize("mount", [MOUNT, MOBILE])
def test_reset_does_the_same_for_every_address(
    mount: str, site: Site, user: AbstractBaseUser, dispatched: Dispatched
) -> None:
    """The same answer and the same dispatch; no statement, so no user is looked up."""
    seen = []
    for address in (KNOWN, UNKNOWN):
        with CaptureQueriesContext(connection) as captured:
            answer = _reset(site, address, f"{mount}password/reset/")
        seen.append((answer.status_code, answer.content, dict(answer.headers)))
        assert len(captured) == 0
    assert seen[0] == seen[1]
    assert seen[0][0] == 202
    assert dispatched == [
        ("password_reset", {"address": address, "language": "en"}) for address in (KNOWN, UNKNOWN)
    ]


def test_reset_asks_no_database_at_all(dispatched: Dispatched, settings: Settings) -> None:
    """This test allows none. The throttles count as well."""
    settings.JWT_AUTH_THROTTLE_RATES = {}
    assert _reset(Site(), KNOWN).status_code == 202
    assert len(dispatched) == 1


@pytest.mark.parametrize("exists", [True, False])
def test_user_who_gets_no_mail_is_answered_alike(
    exists: bool, site: Site, user: Any, dispatched: Dispatched
) -> None:
    """Inactive, and without a usable password: only the mail's side knows."""
    user.is_active = not exists
    user.set_unusable_password()
    user.save()
    assert _reset(site, KNOWN).status_code == 202
    assert len(dispatched) == 1


@pytest.mark.parametrize(
    "email",
    [
        *(None, 5, True, [], {}, "", " "),
        *("alice", "alice@", "@example.com", "a b@example.com", "<alice@example.com>"),
        *("alice@example.com\0", "alice@example.com\nBcc: x@example.com", "\ud800@example.com"),
        *("a" * 320 + "@example.com", "alice@example.com, bob@example.com"),
    ],
)
def test_text_that_is_no_address_is_refused(
    email: object, dispatched: Dispatched, settings: Settings
) -> None:
    """400, which depends on the text alone; it isn't counted."""
    settings.JWT_AUTH_THROTTLE_RATES = {"password_reset_address": "1/hour"}
    for _ in range(2):
        answer = _reset(Site(), email)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
        assert answer.json()["errors"].keys() == {"email"}
    assert dispatched == []


def test_blanks_around_an_address_are_ignored(dispatched: Dispatched) -> None:
    """As by Django's form. International addresses are addresses."""
    for typed in (f"  {KNOWN}\t", "jos\u00e9@b\u00fccher.example"):
        answer = _reset(Site(), typed)
        # Django's validator knows no letters outside of ASCII before the @.
        assert answer.status_code == (202 if typed.isascii() else 400)
    assert _reset(Site(), "jose@b\u00fccher.example").status_code == 202
    assert [each["address"] for _, each in dispatched] == [KNOWN, "jose@b\u00fccher.example"]


@pytest.mark.parametrize("address", [KNOWN, UNKNOWN])
def test_address_is_throttled_in_every_spelling(
    address: str, user: AbstractBaseUser, dispatched: Dispatched, settings: Settings
) -> None:
    """Whoever has it or not, and wherever the requests come from."""
    settings.JWT_AUTH_THROTTLE_RATES = {"password_reset": "2/hour", "password_reset_address": None}
    typed = [address, address.upper(), f" {address}", f"{address[0].upper()}{address[1:]}"]
    codes = [
        _reset(Site(), each, REMOTE_ADDR=f"192.0.2.{number}").status_code
        for number, each in enumerate(typed)
    ]
    assert codes == [202, 202, 429, 429]
    other = _reset(Site(), "carol@example.com")
    assert other.status_code == 202
    assert len(dispatched) == 3


def test_domain_in_wide_letters_is_the_same_address(
    dispatched: Dispatched, settings: Settings
) -> None:
    """What Django takes for equal (NFKC, case) is one count."""
    settings.JWT_AUTH_THROTTLE_RATES = {"password_reset": "1/hour"}
    assert _reset(Site(), "alice@stra\u00dfe.example").status_code == 202
    assert _reset(Site(), "Alice@STRASSE.example").status_code == 429


def test_network_is_throttled(dispatched: Dispatched, settings: Settings) -> None:
    """Many addresses from one network; for IPv6 its /64. A server without one counts none."""
    settings.JWT_AUTH_THROTTLE_RATES = {"password_reset_address": "2/hour"}
    sources = ["2001:db8::1", "2001:db8::2", "2001:db8::ffff:1", "2001:db8:0:1::1", ""]
    codes = [
        _reset(Site(), f"user{number}@example.com", REMOTE_ADDR=source).status_code
        for number, source in enumerate(sources)
    ]
    assert codes == [202, 202, 429, 202, 202]


def test_language_is_that_of_the_request(
    dispatched: Dispatched, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mail is composed elsewhere; a request without a language has the site's."""
    _reset(Site(), KNOWN, headers={"Accept-Language": "fr"})
    monkeypatch.setattr("jwt_auth.http.views.one_time_tokens.get_language", lambda: None)
    settings.LANGUAGE_CODE = "de"
    _reset(Site(), KNOWN)
    assert [each["language"] for _, each in dispatched] == ["fr", "de"]


def test_dispatcher_that_fails_fails_no_request(dispatched: Dispatched, settings: Settings) -> None:
    """A 500 for some addresses only would tell them apart (CVE-2024-45231)."""
    settings.JWT_AUTH_MAIL_DISPATCHER = "tests.http.no_such_module.dispatch"
    assert _reset(Site(), KNOWN).status_code == 202


@pytest.mark.parametrize(
    ("path", "setting"),
    [
        ("password/reset/", "PASSWORD_RESET_URL"),
        ("email/send-confirmation/", "EMAIL_CONFIRMATION_URL"),
    ],
)
def test_mail_without_a_page_is_not_found(
    path: str, setting: str, session: Session, dispatched: Dispatched, settings: Settings
) -> None:
    """A 202 would promise a mail that nobody sends."""
    setattr(settings, f"JWT_AUTH_{setting}", None)
    answer = Site().post(path, {"email": KNOWN}, headers=session.bearer)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert dispatched == []


def test_service_that_shares_the_database_sends_no_mail(
    session: Session, issuer: Issuer, dispatched: Dispatched, settings: Settings
) -> None:
    """It can't sign the token."""
    settings.JWT_AUTH_REVOCATION = {"BACKEND": "jwt_auth.revocation.database.DatabaseRevocation"}
    assert _reset(Site(), KNOWN).status_code == 503
    assert dispatched == []


def test_request_from_another_site_does_no_harm(
    user: AbstractBaseUser, dispatched: Dispatched
) -> None:
    """No cookie is read, so there is nothing to protect: whoever sends it needs an address or a
    token, and the answer gives nothing.
    """
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    assert _reset(Site(), KNOWN, headers=headers).status_code == 202
    body = {"token": _issue(user, flows.EMAIL_CONFIRMATION)}
    answer = Site().post("email/confirm/", body, headers=headers)
    assert (answer.status_code, answer.cookies) == (204, {})


# password/reset/confirm/


@pytest.mark.parametrize("mount", [MOUNT, MOBILE])
def test_token_sets_a_password_once(
    mount: str, site: Site, session: Session, user: AbstractBaseUser
) -> None:
    """204, no session and no cookie; the sessions are over, and the new password logs in."""
    path = f"{mount}password/reset/confirm/"
    body = {"token": _issue(user, flows.PASSWORD_RESET), "new_password": NEW}
    visitor = Site()
    answer = visitor.post(path, body)
    assert (answer.status_code, answer.content, answer.cookies) == (204, b"", {})
    assert answer["Cache-Control"] == "no-store"
    assert site.get("me/", headers=session.bearer).status_code == 401
    assert site.post("refresh/").status_code == 401
    again = visitor.post(path, body)
    assert (again.status_code, again.json()) == (400, INVALID)
    open_session(Site(), {"username": user.get_username(), "password": NEW})


def test_password_that_is_refused_leaves_the_token(site: Site, user: AbstractBaseUser) -> None:
    """The messages are the validators', and the answer is that of a password change."""
    token = _issue(user, flows.PASSWORD_RESET)
    before = everything()
    for refused in ("short", user.get_username(), " "):
        answer = site.post("password/reset/confirm/", {"token": token, "new_password": refused})
        assert (answer.status_code, answer.json()["code"]) == (400, "password_refused")
        assert answer.json()["errors"]["new_password"]
    assert everything() == before
    body = {"token": token, "new_password": NEW}
    assert site.post("password/reset/confirm/", body).status_code == 204


@pytest.mark.parametrize(
    ("path", "good"),
    [
        ("password/reset/confirm/", {"token": "a.b.c", "new_password": NEW}),
        ("email/confirm/", {"token": "a.b.c"}),
    ],
)
def test_field_that_is_missing_or_no_text_is_named(
    path: str, good: dict[str, str], site: Site
) -> None:
    """400 ``invalid``; only a text can be an invalid token."""
    assert site.post(path, good).json() == INVALID
    for name in good:
        for wrong in NO_TEXTS:
            answer = _post(site, path, good | {name: wrong})
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
            assert answer.json()["errors"].keys() == {name}
        without = {key: value for key, value in good.items() if key != name}
        assert site.post(path, without).json()["errors"].keys() == {name}
    answer = site.post("password/reset/confirm/", {"token": "a.b.c", "new_password": "x" * 4097})
    assert answer.json()["errors"].keys() == {"new_password"}
    body = {"token": "x" * 16 * 1024, "new_password": NEW}
    assert site.post(path, body).status_code == 413


def test_tokens_are_unavailable_without_keys(
    site: Site, user: AbstractBaseUser, settings: Settings, tmp_path: Any
) -> None:
    """503, so that the page tries again; a 400 would make the user throw a good mail away."""
    token = _issue(user, flows.EMAIL_CONFIRMATION)
    settings.JWT_AUTH_KEY_STORE = {
        **settings.JWT_AUTH_KEY_STORE,
        "OPTIONS": {"PATH": str(tmp_path / "nothing")},
    }
    answer = site.post("email/confirm/", {"token": token})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert not UsedOneTimeToken.objects.exists()


# email/send-confirmation/ and email/confirm/


def test_mail_goes_to_the_caller(session: Session, user: Any, dispatched: Dispatched) -> None:
    """To no address that the request names."""
    body = {"email": "other@example.com", "user_id": "5"}
    answer = Site().post("email/send-confirmation/", body, headers=session.bearer)
    assert (answer.status_code, answer.content) == (202, b"")
    assert dispatched == [("email_confirmation", {"user_id": str(user.pk), "language": "en"})]
    answer = Site().post("email/send-confirmation/", body)
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert len(dispatched) == 1


def test_user_is_throttled(
    session: Session, bobs: Session, dispatched: Dispatched, settings: Settings
) -> None:
    """Each by themselves, from wherever the requests come."""
    settings.JWT_AUTH_THROTTLE_RATES = {"email_confirmation": "1/hour"}

    def send(session: Session, source: str) -> int:
        answer = Site().post("email/send-confirmation/", headers=session.bearer, REMOTE_ADDR=source)
        return int(answer.status_code)

    codes = [send(session, "192.0.2.1"), send(session, "192.0.2.2"), send(bobs, "192.0.2.1")]
    assert codes == [202, 429, 202]
    assert len(dispatched) == 2


def test_user_without_an_address_is_answered_alike(
    session: Session, user: Any, dispatched: Dispatched
) -> None:
    """There is nothing to send, as when the address is confirmed already; me/ shows it."""
    get_user_model()._default_manager.filter(pk=user.pk).update(email="")
    answer = Site().post("email/send-confirmation/", headers=session.bearer)
    assert answer.status_code == 202


@pytest.mark.parametrize("mount", [MOUNT, MOBILE])
def test_token_confirms_an_address_without_a_login(
    mount: str, user: AbstractBaseUser, site: Site
) -> None:
    """On whatever device the mail is read. A stale bearer token doesn't get in the way."""
    body = {"token": _issue(user, flows.EMAIL_CONFIRMATION)}
    stale = {"Authorization": "Bearer stale"}
    answer = site.post(f"{mount}email/confirm/", body, headers=stale)
    assert (answer.status_code, answer.content) == (204, b"")
    assert flows.is_email_confirmed(user)
    again = site.post(f"{mount}email/confirm/", body)
    assert (again.status_code, again.json()) == (400, INVALID)


def test_claim_of_a_confirmed_address(
    user: AbstractBaseUser, credentials: dict[str, str], settings: Settings
) -> None:
    """As in docs/how-to/one-time-tokens.md: the next token has it."""
    settings.JWT_AUTH_CLAIMS = f"{__name__}.claims_of"

    def claims() -> dict[str, Any]:
        issued = flows.authenticate(
            open_session(Site(), credentials).access_token,
            client=BROWSER,
            now=datetime.now(UTC),
        )[1]
        return dict(issued.claims)

    assert claims()["email_verified"] is False
    Site().post("email/confirm/", {"token": _issue(user, flows.EMAIL_CONFIRMATION)})
    assert claims()["email_verified"] is True


# Elsewhere


def test_one_time_token_is_not_active_for_a_service(
    user: AbstractBaseUser, site: Site, service: Service
) -> None:
    """A service that asks about it learns nothing, and revoking it does nothing."""
    token = _issue(user, flows.EMAIL_CONFIRMATION)
    assert service.ask(site, "introspect/", token).json() == {"active": False}
    assert service.ask(site, "revoke/", token).status_code == 200
    assert site.post("email/confirm/", {"token": token}).status_code == 204
