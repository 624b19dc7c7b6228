"""GET verify/: what a gateway learns about the token of a request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jwt
import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from pytest_django import Settings

from jwt_auth.encoding import base64url_decode
from jwt_auth.tokens.jws import MAX_LENGTH
from tests.conftest import GiveRoles, MakeUser
from tests.http.site import Session, Site, everything, open_session
from tests.tokens.forging import forge

pytestmark = [pytest.mark.sql, pytest.mark.user_model, pytest.mark.smoke]

HEADERS = {"X-Auth-User", "X-Auth-Session", "X-Auth-Roles", "X-Auth-Claims"}

#: Names of roles as a directory may give them. Each is one role.
ROLES = (
    "editor",
    "Sales, EMEA",
    "100%",
    "%2C",
    "Größe 中",
    "a\r\nX-Auth-User: 1",
    "nul\0",
    "lone \ud800",
    " ",
)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _is_refused(answer: Any) -> bool:
    return answer.status_code == 401 and HEADERS.isdisjoint(answer.headers)


def _claims(session: Session) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(session.access_token, options={"verify_signature": False})
    return claims


def test_good_token_is_described_in_headers(
    site: Site, user: AbstractBaseUser, give_roles: GiveRoles, credentials: dict[str, str]
) -> None:
    """204 without a body; the claims are all of the token."""
    give_roles(user, "admin", "editor")
    session = open_session(site, credentials)
    answer = site.get("verify/", headers=session.bearer)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer["X-Auth-User"] == str(user.pk)
    assert answer["X-Auth-Session"] == str(session.id)
    assert sorted(answer["X-Auth-Roles"].split(",")) == ["admin", "editor"]
    assert json.loads(base64url_decode(answer["X-Auth-Claims"])) == _claims(session)
    assert answer["Cache-Control"] == "no-store"
    assert not answer.cookies


def test_user_without_roles_has_an_empty_header(site: Site, session: Session) -> None:
    """It is there all the same, so that a gateway replaces what the client sent."""
    assert site.get("verify/", headers=session.bearer)["X-Auth-Roles"] == ""


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_method_makes_no_difference(method: str, site: Site, session: Session) -> None:
    """Envoy sends that of the original request. Only the token counts, and nothing changes."""
    before = everything()
    answer = site.generic(method, "verify/", headers=session.bearer)
    assert (answer.status_code, answer["X-Auth-Session"]) == (204, str(session.id))
    assert _is_refused(site.generic(method, "verify/"))
    assert everything() == before


def test_envoy_gets_the_200_that_it_asks_for(site: Site, session: Session) -> None:
    """With the same headers; a refusal stays one, and other values change nothing."""
    answer = site.get("verify/?status=200", headers=session.bearer)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer["X-Auth-Session"] == str(session.id)
    assert _is_refused(site.get("verify/?status=200"))
    assert site.get("verify/?status=500", headers=session.bearer).status_code == 204


def test_announced_body_is_not_read(site: Site, session: Session) -> None:
    """A gateway may leave the original Content-Length in a request without a body."""
    answer = site.get("verify/", headers=session.bearer, CONTENT_LENGTH="1000000000")
    assert answer.status_code == 204


def test_ended_session_is_refused_at_once(site: Site, session: Session, bobs: Session) -> None:
    """The challenge says that the token was refused, so that the client refreshes."""
    assert site.post("logout/", headers=session.bearer).status_code == 204
    answer = site.get("verify/", headers=session.bearer)
    assert _is_refused(answer)
    assert 'error="invalid_token"' in answer["WWW-Authenticate"]
    assert site.get("verify/", headers=bobs.bearer).status_code == 204


@pytest.mark.parametrize("own", [{}, _bearer("x.y.z"), {"Authorization": "Basic eDp5"}])
def test_access_cookie_is_no_credential(
    own: dict[str, str], site: Site, session: Session, settings: Settings
) -> None:
    """A gateway asks by GET about a POST, so a cookie would pass without its CSRF token."""
    settings.JWT_AUTH_ACCESS_COOKIE_NAME = "__Host-access_token"
    cookie = {"Cookie": f"__Host-access_token={session.access_token}"}
    assert site.get("me/", headers=cookie).status_code == 200
    assert _is_refused(site.get("verify/", headers={**cookie, **own}))


def test_role_is_encoded_as_one_header_value(site: Site, session: Session) -> None:
    """A comma makes no second role, a newline no second header, and each name can be read back."""
    token = forge().token(claims=_claims(session) | {"roles": list(ROLES)})
    header = site.get("verify/", headers=_bearer(token))["X-Auth-Roles"]
    assert all("!" <= character <= "~" for character in header)
    decoded = [unquote(role, errors="surrogatepass") for role in header.split(",")]
    assert decoded == list(ROLES)


def test_key_of_the_user_is_encoded(site: Site, make_user: MakeUser, password: str) -> None:
    """In some projects it is a name, and a name may be any text."""
    user = make_user("zoë, admin")
    session = open_session(site, {"username": user.get_username(), "password": password})
    header = site.get("verify/", headers=session.bearer)["X-Auth-User"]
    assert header.isascii()
    assert "," not in header
    assert unquote(header) == str(user.pk)


def test_longest_token_fits(site: Site, session: Session) -> None:
    """The reference names 20 KB as the most that the headers take; gateways are set for it."""
    claims = _claims(session)
    lengthy = ["中" * 100] * 9
    token = forge().token(claims=claims | {"roles": lengthy})
    missing = (MAX_LENGTH - len(token)) * 3 // 4
    token = forge().token(claims=claims | {"roles": [*lengthy, "x" * (missing - 4)]})
    assert MAX_LENGTH - 8 < len(token) <= MAX_LENGTH
    answer = site.get("verify/", headers=_bearer(token))
    assert answer.status_code == 204
    assert sum(len(name) + len(answer[name]) for name in HEADERS) < 20_000


def test_unavailable_keys_are_no_401(
    site: Site, session: Session, settings: Settings, tmp_path: Path
) -> None:
    """A 401 would have every client log out; for a 503, a gateway answers a 5xx."""
    options = {"PATH": str(tmp_path / "keys")}
    settings.JWT_AUTH_KEY_STORE = {**settings.JWT_AUTH_KEY_STORE, "OPTIONS": options}
    answer = site.get("verify/", headers=session.bearer)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert HEADERS.isdisjoint(answer.headers)
