"""HTTP Basic of a service client, the same at each endpoint for services."""

from __future__ import annotations

import sys
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from pytest_django import Settings

from jwt_auth import flows
from tests.http.conftest import Clock
from tests.http.services import FORM, Service, basic
from tests.http.site import Session, Site, everything

pytestmark = [pytest.mark.sql, pytest.mark.smoke]

PATHS = ["introspect/", "revoke/"]
UNKNOWN = "0c0ffee0-0000-4000-8000-000000000000"


def _send(site: Site, path: str, **headers: str) -> Any:
    return site.post(path, "token=x", content_type=FORM, headers=headers)


def _authorization(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(text.encode("latin-1")).decode()}


@pytest.mark.parametrize("path", PATHS)
def test_service_is_let_in_by_its_secret(path: str, site: Site, service: Service) -> None:
    """The answer may not be stored, and no cookie comes with it."""
    answer = service.ask(site, path, "x")
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    assert not answer.cookies


@pytest.mark.parametrize("case", ["unknown", "wrong secret", "inactive"])
@pytest.mark.parametrize("path", PATHS)
def test_refused_clients_get_one_answer(path: str, case: str, site: Site, service: Service) -> None:
    """It doesn't tell whether there is such a client (RFC 6749 §5.2)."""
    if case == "inactive":
        flows.deactivate_service_client(service.client, now=datetime.now(UTC))
    client_id = UNKNOWN if case == "unknown" else str(service.client.pk)
    secret = "wrong" if case == "wrong secret" else service.secret
    answer = _send(site, path, **basic(client_id, secret))
    assert answer.status_code == 401
    assert answer.json() == {
        "detail": "No active service client has this id and secret.",
        "code": "invalid_client",
    }
    assert answer["WWW-Authenticate"] == 'Basic realm="api"'
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Basic"},
        {"Authorization": "Basic "},
        {"Authorization": "Basic é"},
        {"Authorization": "Basic !"},
        {"Authorization": "Basic eDp5, Basic eDp5"},
        {"Authorization": "Bearer eDp5"},
        _authorization("no colon"),
        _authorization(":"),
        _authorization("\xff:\xff"),
        _authorization("a\0b:c\0d"),
        _authorization("%00:%ff"),
        _authorization("x:" + "y" * 5000),
    ],
)
@pytest.mark.parametrize("path", PATHS)
def test_malformed_credentials_are_refused(
    path: str, header: dict[str, str], site: Site, service: Service
) -> None:
    """401 like every other, never 500."""
    answer = _send(site, path, **header)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_client")


def test_credentials_may_be_form_encoded(site: Site, service: Service) -> None:
    """RFC 6749 §2.3.1 asks for it; clients differ in whether they encode what needs no encoding."""
    name, secret = (
        "".join(f"%{ord(each):02x}" for each in text)
        for text in (str(service.client.pk), service.secret)
    )
    for header in (basic(name, secret), basic(str(service.client.pk), quote(service.secret))):
        assert _send(site, "introspect/", **header).status_code == 200
        header["Authorization"] = header["Authorization"].replace("Basic ", "bAsIc   ")
        assert _send(site, "introspect/", **header).status_code == 200


@pytest.mark.parametrize(("good", "bad"), [("Basic", "Bearer"), ("Basic ", "Basic !"), ("=", "")])
def test_credentials_are_read_strictly(good: str, bad: str, site: Site, service: Service) -> None:
    """Of another scheme, with a character that isn't base64's, or without its padding."""
    header = basic(str(service.client.pk), service.secret)["Authorization"]
    assert _send(site, "introspect/", Authorization=header).status_code == 200
    changed = header.replace(good, bad)
    assert changed != header
    assert _send(site, "introspect/", Authorization=changed).status_code == 401


@pytest.mark.parametrize("path", PATHS)
def test_no_other_credential_lets_in(
    path: str, site: Site, service: Service, session: Session, user: Any
) -> None:
    """Neither a user's token or Django session, nor id and secret in the body (RFC 6749 §2.3.1
    discourages it).
    """
    site.force_login(user)
    body = f"token=x&client_id={service.client.pk}&client_secret={service.secret}"
    answer = site.post(path, body, content_type=FORM, headers=session.bearer)
    assert answer.status_code == 401


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_only_post_is_answered(method: str, path: str, site: Site, service: Service) -> None:
    """Otherwise a token could be in a URL, and the URL in a log."""
    answer = site.generic(method, f"{path}?token=x", headers=service.headers)
    assert answer.status_code == 405


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("slash", ["", "/"])
def test_slash_makes_no_difference(path: str, slash: str, site: Site, service: Service) -> None:
    """No redirect, which would lose the body."""
    assert service.ask(site, path.rstrip("/") + slash, "x").status_code == 200


@pytest.mark.parametrize("path", PATHS)
def test_cross_site_header_and_csrf_make_no_difference(
    path: str, site: Site, service: Service
) -> None:
    """No cookie counts here, so no browser can be made to send what does."""
    site.handler.enforce_csrf_checks = True
    answer = _send(
        site,
        path,
        **service.headers,
        **{"Sec-Fetch-Site": "cross-site", "Origin": "https://x.test"},
    )
    assert answer.status_code == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        ("", FORM, 400, "invalid_request"),
        ("", "", 400, "invalid_request"),
        ("token=", FORM, 400, "invalid_request"),
        ("token", FORM, 400, "invalid_request"),
        ("token=a&token=b", FORM, 400, "invalid_request"),
        ("other=a", FORM, 400, "invalid_request"),
        ('{"token": "x"}', "application/json", 415, "unsupported_media_type"),
        ("token=x", "text/plain", 415, "unsupported_media_type"),
        (b"--b\r\n", "multipart/form-data; boundary=b", 415, "unsupported_media_type"),
        ("token=" + "x" * 1_000_000, FORM, 413, "body_too_large"),
        ("&".join(f"f{n}=1" for n in range(1500)), FORM, 400, "parse_error"),
    ],
)
def test_other_bodies_are_refused(
    body: str | bytes,
    content_type: str,
    status: int,
    code: str,
    path: str,
    site: Site,
    service: Service,
) -> None:
    """RFC 7662 §2.1 and RFC 7009 §2.1 know one form with one field."""
    answer = site.generic("POST", path, body, content_type, headers=service.headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "token",
    [
        "\0",
        "a\0b.c.d",
        "\ud800".encode("utf-8", "surrogatepass"),
        b"\xff",
        "é.é.é",
        "..",
        "x" * 9000,
    ],
)
def test_any_text_is_a_token_that_is_not_good(
    token: str | bytes, path: str, site: Site, service: Service, session: Session
) -> None:
    """200, and nothing changed."""
    before = everything()
    body = f"token={quote(token)}"
    answer = site.post(path, body, content_type=FORM, headers=service.headers)
    assert answer.status_code == 200
    assert everything() == before


def test_wrong_secrets_are_throttled_by_address(
    site: Site, service: Service, settings: Settings, clock: Clock
) -> None:
    """429 even for the right one, unless this process has verified it before. Right ones don't
    count.
    """
    settings.JWT_AUTH_THROTTLE_RATES = {"service_client": "2/min"}
    other, secret = flows.create_service_client("other", now=datetime.now(UTC))
    late, late_secret = flows.create_service_client("late", now=datetime.now(UTC))
    good = basic(str(other.pk), secret)
    codes = [
        _send(site, "revoke/", **header).status_code
        for header in (good, basic(UNKNOWN, "x"), good, basic(str(other.pk), "x"), basic("", ""))
    ]
    assert codes == [200, 401, 200, 401, 429]
    answer = _send(site, "introspect/", **basic(str(late.pk), late_secret))
    assert (answer.status_code, answer.json()["code"]) == (429, "throttled")
    assert 0 < int(answer["Retry-After"]) <= 60
    assert _send(site, "introspect/", **good).status_code == 200
    elsewhere = site.post(
        "introspect/",
        "token=x",
        content_type=FORM,
        headers=basic(str(late.pk), late_secret),
        REMOTE_ADDR="192.0.2.9",
    )
    assert elsewhere.status_code == 200


def test_service_without_an_address_is_not_counted(
    site: Site, service: Service, settings: Settings
) -> None:
    """Behind a Unix socket there is one for all."""
    settings.JWT_AUTH_THROTTLE_RATES = {"service_client": "1/min"}
    for _ in range(3):
        answer = site.post(
            "introspect/", "token=x", content_type=FORM, headers=basic("a", "b"), REMOTE_ADDR=""
        )
        assert answer.status_code == 401


def test_refusal_is_logged_without_the_secret(
    site: Site, service: Service, log: pytest.LogCaptureFixture
) -> None:
    """With the name of a client that exists, because a typed id may be the secret."""
    for client_id in (str(service.client.pk), UNKNOWN):
        _send(site, "introspect/", **basic(client_id, "a-wrong-secret"))
    assert [
        (each["event"], each["name"])
        for record in log.records
        if (each := getattr(record, "jwt_auth", {"event": ""}))["event"].endswith("_refused")
    ] == [
        ("service_client_refused", "gateway"),
        ("service_client_refused", None),
    ]
    assert "a-wrong-secret" not in log.text


def test_missing_argon2_is_unavailable(
    site: Site, service: Service, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    """Another server may have made the client. The log says what to install."""
    monkeypatch.setitem(sys.modules, "argon2", None)
    answer = service.ask(site, "introspect/", "x")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "django-jwt-sessions[argon2]" in log.text
