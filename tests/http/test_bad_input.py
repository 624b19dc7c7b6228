"""Bodies, headers and methods that no honest client sends: 4xx in JSON, and nothing changed."""

from __future__ import annotations

import json
from contextlib import nullcontext
from io import BytesIO
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIRequest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import Settings
from rest_framework.request import Request

from jwt_auth.http.api_exceptions import BodyTooLarge
from jwt_auth.http.parsers import refuse_large_body
from jwt_auth.models import Reason, RefreshTokenFamily
from tests.http.site import COOKIE, MOBILE, MOUNT, Session, Site, everything

pytestmark = pytest.mark.sql

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=b"

#: The endpoints that read a body, and one of its fields.
TAKERS = {
    "login": (f"{MOUNT}login/", "username"),
    "password change": (f"{MOUNT}password/change/", "old_password"),
    "mobile login": (f"{MOBILE}login/", "password"),
    "mobile refresh": (f"{MOBILE}refresh/", "refresh_token"),
    "mobile logout": (f"{MOBILE}logout/", "refresh_token"),
    "mobile password change": (f"{MOBILE}password/change/", "new_password"),
}

#: Those that refuse a body which makes no sense: nobody is kept from logging out by one.
REFUSERS = [name for name in TAKERS if name != "mobile logout"]

#: Content types and bodies that no parser can make sense of. 413 and 415 are named, 400 is not.
UNREADABLE: dict[str, tuple[str, bytes]] = {
    "no JSON": (JSON, b"{"),
    "two values": (JSON, b"{}{}"),
    "a list": (JSON, b"[]"),
    "a string": (JSON, b'"x"'),
    "a number": (JSON, b"1"),
    "null": (JSON, b"null"),
    "true": (JSON, b"true"),
    "NaN": (JSON, b'{"username": NaN}'),
    "a name twice": (JSON, b'{"username": "a", "username": "b"}'),
    "a name twice, deeper": (JSON, b'{"a": [{"b": 1, "b": 1}]}'),
    "a huge number": (JSON, b'{"username": ' + b"9" * 9000 + b"}"),
    "not UTF-8": (JSON, b'{"username": "\xff"}'),
    "UTF-16": (JSON, '{"username": "a"}'.encode("utf-16")),
    "UTF-32": (JSON, '{"username": "a"}'.encode("utf-32")),
    "a byte order mark": (JSON, b"\xef\xbb\xbf{}"),
    "nested lists": (JSON, b"[" * 8000),
    "nested lists, whole": (JSON, b"[" * 8000 + b"]" * 8000),
    "nested objects": (JSON, b'{"a":' * 3000),
    "a raw control character": (JSON, b'{"username": "\n"}'),
    "a key without value": (JSON, b'{"username"}'),
    "UTF-16 as declared": (f"{JSON}; charset=utf-16", '{"username": "a"}'.encode("utf-16")),
    "1,500 fields": (FORM, b"&".join(b"f%d=1" % n for n in range(1500))),
    "no boundary": ("multipart/form-data", b"--b--"),
    "an empty boundary": ("multipart/form-data; boundary=", b"--b--"),
    "another boundary": ("multipart/form-data; boundary=\xff", b"--b--"),
    "1,500 parts": (MULTIPART, b"--b\r\n\r\n" * 1500),
}

UNSUPPORTED = [
    "text/plain",
    "application/xml",
    "text/json",
    "a",
    "",
    "*/*",
    "application/*",
    "\xff",
]

#: Values that no text field takes.
WRONG_VALUES = [1, 1.5, True, False, None, [], ["x"], {}, {"a": "b"}, "a\0b", "\ud800", "x" * 5000]


def _is_refused(answer: Any, *statuses: int) -> bool:
    body = json.loads(answer.content)
    return (
        answer.status_code in (statuses or range(400, 500))
        and answer["Content-Type"] == JSON
        and answer["Cache-Control"] == "no-store"
        and isinstance(body["detail"], str)
        and isinstance(body["code"], str)
    )


@pytest.mark.parametrize("taker", REFUSERS)
@pytest.mark.parametrize("kind", UNREADABLE)
def test_unreadable_body_is_refused(kind: str, taker: str, site: Site, session: Session) -> None:
    """400, whatever parser it reaches."""
    before = everything()
    content_type, body = UNREADABLE[kind]
    path, _ = TAKERS[taker]
    answer = site.generic("POST", path, body, content_type, headers=session.bearer)
    if "boundary" in kind or "parts" in kind or taker.endswith("refresh"):
        assert _is_refused(answer, 400, 401), answer.content
    else:
        assert _is_refused(answer, 400), answer.content
        assert answer.json()["code"] == "parse_error"
    assert everything() == before


@pytest.mark.parametrize("taker", REFUSERS)
@pytest.mark.parametrize("content_type", UNSUPPORTED)
def test_unknown_content_type_is_refused(
    content_type: str, taker: str, site: Site, session: Session
) -> None:
    """415: a guess at what was meant would be a second parser for attackers."""
    before = everything()
    path, field = TAKERS[taker]
    extra = {"CONTENT_TYPE": content_type}
    body = json.dumps({field: "x"})
    answer = site.generic("POST", path, body, None, headers=session.bearer, **extra)
    assert _is_refused(answer, 415), answer.content
    assert answer.json()["code"] == "unsupported_media_type"
    assert everything() == before


@pytest.mark.parametrize("taker", REFUSERS)
@pytest.mark.parametrize("value", WRONG_VALUES, ids=repr)
def test_wrong_value_is_refused(value: Any, taker: str, site: Site, session: Session) -> None:
    """Nothing is made into a string that is none, nor cut to fit."""
    before = everything()
    path, field = TAKERS[taker]
    # Of the other fields, too: what is checked first must not matter.
    names = {"username", "password", "old_password", "new_password"}
    body = json.dumps(dict.fromkeys(names, "x") | {field: value})
    answer = site.generic("POST", path, body, JSON, headers=session.bearer)
    assert _is_refused(answer, 400), answer.content
    assert answer.json()["code"] == "invalid"
    assert list(answer.json()["errors"]) == [field]
    assert everything() == before


@pytest.mark.parametrize("mount", [MOUNT, MOBILE])
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        *UNREADABLE.values(),
        *((content_type, b'{"refresh_token": "x"}') for content_type in UNSUPPORTED),
        *((JSON, json.dumps({"refresh_token": value}).encode()) for value in WRONG_VALUES),
    ],
)
def test_logout_is_204_whatever_the_body(
    content_type: str, body: bytes, mount: str, site: Site, session: Session
) -> None:
    """The session of the access token ends all the same."""
    extra = {"CONTENT_TYPE": content_type}
    headers = {"Cookie": "other=1", **session.bearer}
    answer = site.generic("POST", f"{mount}logout/", body, None, headers=headers, **extra)
    assert answer.status_code == 204, answer.content
    assert RefreshTokenFamily.objects.get().revocation_reason == Reason.LOGOUT


@pytest.mark.parametrize("charset", ["zlib", "hex", "rot13", "base64", "utf-16", "bogus", "\xff"])
@pytest.mark.parametrize("content_type", [JSON, FORM, MULTIPART])
def test_charset_of_the_header_is_not_believed(
    charset: str, content_type: str, site: Site, credentials: dict[str, str]
) -> None:
    """Bodies are UTF-8; Python knows charsets that are no text at all."""
    body = {
        JSON: json.dumps(credentials),
        FORM: "username={username}&password={password}".format(**credentials),
        MULTIPART: "".join(
            f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in credentials.items()
        )
        + "--b--\r\n",
    }[content_type]
    answer = site.generic("POST", "login/", body, f"{content_type}; charset={charset}")
    if charset == "\xff" and content_type == MULTIPART:
        assert _is_refused(answer, 400)
    else:
        assert answer.status_code == 200, answer.content


@pytest.mark.parametrize(
    "path", [*(path for path, _ in TAKERS.values()), "refresh/", "logout/", "logout-all/"]
)
@pytest.mark.parametrize("content_type", [JSON, FORM, MULTIPART, "text/plain"])
def test_large_body_is_refused_unread(
    path: str, content_type: str, site: Site, session: Session
) -> None:
    """413 from 16 KiB on, before any parser, nested a hundred thousand deep or not."""
    before = everything()
    for body in (b"x" * (16 * 1024 + 1), b"[" * 100_000):
        answer = site.generic("POST", path, body, content_type, headers=session.bearer)
        assert _is_refused(answer, 413)
        assert answer.json()["code"] == "body_too_large"
    assert everything() == before


def test_body_of_16_kib_is_read(site: Site, credentials: dict[str, str]) -> None:
    """The limit itself is within."""
    body = json.dumps(credentials).ljust(16 * 1024)
    assert site.generic("POST", "login/", body, JSON).status_code == 200


def test_limit_of_the_project_counts_where_it_is_lower(
    site: Site, settings: Settings, credentials: dict[str, str]
) -> None:
    """Django's own refusal is answered as ours."""
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    assert _is_refused(site.post("login/", credentials), 413)


@pytest.mark.parametrize(
    ("announced", "status", "real"),
    [
        ("-1", 400, b"{}"),
        ("x", 400, b"{}"),
        ("1e3", 400, b"{}"),
        ("+2", 400, b"{}"),
        ("\xb2", 400, b"{}"),
        ("9" * 5000, 413, b"{}"),
        ("16385", 413, b"{}"),
        ("", 400, b'{"username": "x"}'),
        ("0", 400, b'{"username": "x"}'),
        ("5", 400, b'{"username": "x", "password": "x"}'),
        ("4000", 401, b'{"username": "x", "password": "x"}'),
    ],
)
def test_content_length_that_lies_is_survived(
    announced: str, status: int, real: bytes, site: Site
) -> None:
    """Absent, negative, endless, too small or too large: never more is read than announced."""
    extra = {"CONTENT_LENGTH": announced, "wsgi.input": BytesIO(real)}
    assert _is_refused(site.generic("POST", "login/", b"", JSON, **extra), status)


def test_body_without_a_length_is_measured() -> None:
    """ASGI servers pass chunked bodies on, which announce nothing."""
    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    for size, refused in ((16 * 1024, False), (16 * 1024 + 1, True)):
        request = Request(ASGIRequest(scope, BytesIO(b"x" * size)))
        with pytest.raises(BodyTooLarge) if refused else nullcontext():
            refuse_large_body(request)


def test_absent_content_length_is_an_empty_body(site: Site) -> None:
    """Whatever stands in the stream."""
    answer = site.generic("POST", "login/", b"", JSON, **{"wsgi.input": BytesIO(b"{")})
    assert _is_refused(answer, 400)
    assert answer.json()["code"] == "invalid"


_BASE64 = (
    b'Content-Disposition: form-data; name="username"%s\r\n'
    b"Content-Transfer-Encoding: base64\r\n\r\n%s"
)


@pytest.mark.parametrize(
    "part",
    [
        b'Content-Disposition: form-data; name="username"; filename="x"\r\n\r\nx',
        b"Content-Disposition: form-data; name=\"username\"; filename*=bogus''%41\r\n\r\nx",
        b"Content-Disposition: form-data; name*=bogus''%41\r\n\r\nx",
        b"Content-Disposition: form-data; name*=zlib''%41\r\n\r\nx",
        b"Content-Disposition: form-data; name*='''%41\r\n\r\nx",
        _BASE64 % (b"", b"\xff!"),
        _BASE64 % (b'; filename="x"', b"A"),
        b'Content-Disposition: form-data; name="\xff\xfe"\r\n\r\nx',
        b'Content-Disposition: form-data; name="username"\r\n\r\na\0b',
        b"Content-Disposition\r\n\r\nx",
        b"x",
        b"",
    ],
)
def test_broken_part_of_a_form_is_refused(part: bytes, site: Site) -> None:
    """A file is no text, a header in no charset is no header."""
    body = b"--b\r\n" + part + b"\r\n--b--\r\n"
    assert _is_refused(site.generic("POST", "login/", body, MULTIPART), 400)
    assert _is_refused(site.generic("POST", "login/", body[:-7], MULTIPART), 400)


@pytest.mark.parametrize("mount", [MOUNT, MOBILE])
@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("login/", "POST"),
        ("refresh/", "POST"),
        ("logout/", "POST"),
        ("logout-all/", "POST"),
        ("me/", "GET"),
        ("sessions/", "GET"),
        ("sessions/00000000-0000-4000-8000-000000000000/", "DELETE"),
        ("password/change/", "POST"),
        ("password/reset/", "POST"),
        ("password/reset/confirm/", "POST"),
        ("email/send-confirmation/", "POST"),
        ("email/confirm/", "POST"),
    ],
)
def test_other_methods_are_refused(
    path: str, allowed: str, mount: str, site: Site, session: Session
) -> None:
    """405 with what is allowed, OPTIONS too: it would tell how the endpoint is built."""
    before = everything()
    methods = {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"}
    for method in methods - {allowed}:
        answer = site.generic(method, f"{mount}{path}", headers=session.bearer)
        assert _is_refused(answer, 405), (method, answer.content)
        assert answer.json()["code"] == "method_not_allowed"
    if allowed != "GET":
        assert site.head(f"{mount}{path}", headers=session.bearer).status_code == 405
    assert everything() == before


def test_head_is_get_without_a_body(site: Site, session: Session) -> None:
    """Where there is a GET."""
    answer = site.head("me/", headers=session.bearer)
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "*/*;q=0", "x", "", "\xff"])
def test_any_accept_header_gets_json(accept: str, site: Site, credentials: dict[str, str]) -> None:
    """A client that asks for something else is better off with JSON than with a 406."""
    headers = {"Accept": accept}
    answer = site.post("login/", credentials, headers=headers)
    assert (answer.status_code, answer["Content-Type"]) == (200, JSON)
    assert _is_refused(site.post("login/", {}, headers=headers), 400)
    assert _is_refused(site.get("me/?format=html", headers=headers), 401)


_TEXTS = st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=40)
_HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "HTTP_AUTHORIZATION",
            "HTTP_COOKIE",
            "HTTP_IDEMPOTENCY_KEY",
            "HTTP_USER_AGENT",
            "HTTP_X_FORWARDED_FOR",
            "HTTP_ORIGIN",
            "HTTP_SEC_FETCH_SITE",
            "HTTP_ACCEPT",
            "HTTP_ACCEPT_LANGUAGE",
            "REMOTE_ADDR",
        ]
    ),
    _TEXTS | _TEXTS.map("Bearer {}".format) | _TEXTS.map(f"{COOKIE}={{}}".format),
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_NAMES = st.sampled_from(["username", "password", "refresh_token", "old_password", "new_password"])
_BODIES = (
    st.binary(max_size=200)
    | st.dictionaries(_NAMES | st.text(), _VALUES).map(lambda body: json.dumps(body).encode())
    | st.lists(st.tuples(_NAMES, st.binary(max_size=20))).map(
        lambda parts: b"&".join(name.encode() + b"=" + value for name, value in parts)
    )
    | st.lists(st.tuples(_NAMES, st.binary(max_size=20))).map(
        lambda parts: (
            b"".join(
                b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
                % (name.encode(), value)
                for name, value in parts
            )
            + b"--b--"
        )
    )
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    path=st.sampled_from(
        [*(path for path, _ in TAKERS.values()), "refresh/", "logout/", "me/", "sessions/x/"]
    ),
    body=_BODIES,
    content_type=st.sampled_from([JSON, FORM, MULTIPART, "text/plain", "", f"{JSON};charset=hex"]),
    headers=_HEADERS,
    bearer=st.booleans(),
)
def test_whatever_is_sent_is_answered_in_json(
    path: str,
    body: bytes,
    content_type: str,
    headers: dict[str, str],
    bearer: bool,
    site: Site,
    session: Session,
) -> None:
    """No input makes a 5xx or an HTML page, and none that isn't right changes a row."""
    site.cookies.clear()
    before = everything()
    extra: dict[str, Any] = {**headers, "CONTENT_TYPE": content_type}
    if bearer and "logout" not in path:
        extra["HTTP_AUTHORIZATION"] = session.bearer["Authorization"]
    answer = site.generic("POST", path, body, None, **extra)
    assert ("logout" in path and answer.status_code == 204) or _is_refused(answer)
    assert everything() == before


class HungUp(BytesIO):
    """A body that is announced and doesn't come, as servers tell it."""

    def read(self, size: int | None = -1) -> bytes:
        """Fail as mod_wsgi and uWSGI do."""
        raise OSError("Apache/mod_wsgi request data read error: Partial results are valid.")


@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize(("path", "status"), [("login/", 400), ("refresh/", 400), ("logout/", 204)])
def test_client_that_hangs_up_is_no_error_of_the_server(
    path: str, status: int, content_type: str, site: Site, session: Session
) -> None:
    """Nobody hears the answer, but who asked to be logged out is."""
    more = {"wsgi.input": HungUp(), "CONTENT_LENGTH": "100", "headers": session.cookie}
    answer = site.generic("POST", path, b"x", content_type, **more)
    assert answer.status_code == status
    if path == "logout/":
        assert site.post("refresh/", headers=session.cookie).status_code == 401
