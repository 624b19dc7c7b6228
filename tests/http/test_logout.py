"""POST logout/ and logout-all/."""

from __future__ import annotations

import pytest

from jwt_auth.models import RefreshTokenFamily, RevokedToken
from tests.http.site import COOKIE, Session, Site, everything, open_session

pytestmark = [pytest.mark.sql, pytest.mark.user_model, pytest.mark.smoke]

INVALID = (
    'Bearer realm="api", error="invalid_token", '
    'error_description="The access token is invalid, expired or revoked."'
)


def test_cookie_ends_the_session(site: Site, session: Session) -> None:
    """The refresh token is worth nothing afterwards, nor is the access token."""
    answer = site.post("logout/")
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.cookies[COOKIE]["max-age"] == 0
    assert answer["Cache-Control"] == "no-store"
    family = RefreshTokenFamily.objects.get()
    assert (family.revocation_reason, family.revoked_by_ip) == ("logout", "127.0.0.1")
    assert site.post("refresh/", headers=session.cookie).status_code == 401
    assert site.get("me/", headers=session.bearer).status_code == 401


def test_bearer_token_ends_its_session_and_itself(site: Site, session: Session) -> None:
    """A client without the cookie logs out as well; the jti is denied besides."""
    answer = site.post("logout/", headers={"Cookie": "other=1", **session.bearer})
    assert answer.status_code == 204
    assert RefreshTokenFamily.objects.get().revoked_at is not None
    assert RevokedToken.objects.count() == 1


def test_cookie_and_bearer_of_two_sessions_end_both(
    site: Site, session: Session, credentials: dict[str, str]
) -> None:
    """Whatever was presented and valid is revoked."""
    other = open_session(Site(), credentials)
    assert site.post("logout/", headers=other.bearer).status_code == 204
    assert not RefreshTokenFamily.objects.filter(revoked_at=None).exists()


@pytest.mark.parametrize(
    "cookie", ["other=1", *(f"{COOKIE}={text}" for text in ("", "abc", "a.b.c", "A" * 92))]
)
@pytest.mark.parametrize("token", ["", "x" * 92, "a.b.c"])
def test_logout_of_nobody_is_204_and_touches_nobody(
    cookie: str, token: str, site: Site, session: Session
) -> None:
    """Nobody needs a good token to leave."""
    before = everything()
    answer = site.post("logout/", headers={"Cookie": cookie, "Authorization": f"Bearer {token}"})
    assert answer.status_code == 204
    assert answer.cookies[COOKIE]["max-age"] == 0
    assert everything() == before


def test_consumed_token_ends_the_session_too(site: Site, session: Session) -> None:
    """A logout wins every race with a refresh."""
    site.post("refresh/")
    assert site.post("logout/", headers=session.cookie).status_code == 204
    assert RefreshTokenFamily.objects.get().revocation_reason == "logout"


def test_logout_all_ends_every_session_of_the_user(
    site: Site, session: Session, bobs: Session, credentials: dict[str, str]
) -> None:
    """Every device is logged out, this one's cookie is deleted. Bob stays logged in."""
    other = open_session(Site(), credentials)
    answer = site.post("logout-all/", headers=session.bearer)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.cookies[COOKIE]["max-age"] == 0
    for bearer in (session.bearer, other.bearer):
        assert site.get("me/", headers=bearer).status_code == 401
    assert site.get("me/", headers=bobs.bearer).status_code == 200
    ended = RefreshTokenFamily.objects.exclude(pk=bobs.id)
    assert {family.revocation_reason for family in ended} == {"logout_all"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "logout-all/"),
        ("GET", "me/"),
        ("GET", "sessions/"),
        ("DELETE", "sessions/00000000-0000-4000-8000-000000000000/"),
        ("POST", "password/change/"),
        ("GET", "verify/"),
    ],
)
@pytest.mark.parametrize(
    ("header", "code", "challenge"),
    [
        (None, "not_authenticated", 'Bearer realm="api"'),
        ("Basic eDp5", "not_authenticated", 'Bearer realm="api"'),
        ("Bearer a.b.c", "invalid_token", INVALID),
        ("Bearer", "invalid_token", INVALID),
        ("Bearer \xff", "invalid_token", INVALID),
    ],
)
def test_bearer_endpoint_challenges(
    header: str | None,
    code: str,
    challenge: str,
    method: str,
    path: str,
    site: Site,
    session: Session,
) -> None:
    """RFC 6750 §3: an error code only where a token was presented; the cookie is no credential."""
    before = everything()
    headers = {} if header is None else {"Authorization": header}
    answer = site.generic(method, path, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, code)
    assert answer["WWW-Authenticate"] == challenge
    assert answer["Cache-Control"] == "no-store"
    assert not answer.cookies
    assert everything() == before


@pytest.mark.parametrize("cookies", ["{theirs}", "{own}; {theirs}", "{theirs}; {own}"])
def test_logout_all_leaves_the_cookie_of_another_user(
    cookies: str, session: Session, bobs: Session
) -> None:
    """Bob has logged in in the same browser; of two cookies, a deletion would hit either."""
    both = cookies.format(own=session.cookie["Cookie"], theirs=bobs.cookie["Cookie"])
    answer = Site().post("logout-all/", headers={"Cookie": both, **session.bearer})
    assert answer.status_code == 204
    assert COOKIE not in answer.cookies
    assert Site().get("me/", headers=bobs.bearer).status_code == 200
    assert Site().get("me/", headers=session.bearer).status_code == 401


def test_logout_all_deletes_a_cookie_that_is_not_ours(session: Session) -> None:
    """As it does with one of a session that has ended."""
    forged = {"Cookie": f"{COOKIE}=forged", **session.bearer}
    assert Site().post("logout-all/", headers=forged).cookies[COOKIE]["max-age"] == 0
