"""A login in two steps through the pages of django-allauth, over HTTPS, as
docs/how-to/second-factor.md says to set it up.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

import jwt
import pytest
import requests
from django_otp.oath import TOTP

from tests.live.conftest import MakeSite
from tests.live.forms import submit
from tests.live.security_key import SecurityKey
from tests.live.site import PASSWORD, Server, Site, bearer
from tests.neighbours.packages import optional

for _package in ("axes", "allauth.mfa", "qrcode"):
    optional(_package)

pytestmark = [pytest.mark.live, pytest.mark.example]

COOKIE = "__Secure-refresh_token"
CODE_PAGE = "/accounts/2fa/authenticate/"
TRUST_PAGE = "/accounts/2fa/trust/"

#: Of the authenticator app, in the test vectors of RFC 6238.
SECRET = b"12345678901234567890"

#: Dave has no second factor. Each of the others has an app, codes for its loss, and a security key.
USERS = ("alice", "bob", "carol", "dave", "erin")

_SET_UP = """
import json
from base64 import b32encode
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from allauth.mfa.webauthn.internal.auth import WebAuthn
from django.contrib.auth import get_user_model
codes = {{}}
for user in get_user_model().objects.exclude(username="dave"):
    TOTP.activate(user, b32encode({secret!r}).decode())
    WebAuthn.add(user, "key", json.loads({registration!r}))
    codes[user.username] = RecoveryCodes.activate(user).get_unused_codes()
print(json.dumps(codes))
"""


@pytest.fixture(scope="module")
def site(make_site: MakeSite) -> Site:
    """The example project with tests.live.mfa_settings."""
    return make_site(*USERS, DJANGO_SETTINGS_MODULE="tests.live.mfa_settings")


@pytest.fixture(scope="module")
def security_key() -> SecurityKey:
    """The one that the users share."""
    return SecurityKey()


@pytest.fixture(scope="module")
def recovery_codes(site: Site, security_key: SecurityKey) -> Mapping[str, list[str]]:
    """Give the users their second factors; return the codes by user."""
    registration = security_key.registration()
    script = _SET_UP.format(secret=SECRET, registration=registration)
    codes: dict[str, list[str]] = json.loads(site.manage("shell", "-v0", "-c", script))
    return codes


@pytest.fixture(scope="module")
def server(site: Site, recovery_codes: Mapping[str, list[str]]) -> Iterator[Server]:
    """A server of that site."""
    with site.serve() as server:
        yield server


@pytest.fixture(scope="module")
def trusting(site: Site, recovery_codes: Mapping[str, list[str]]) -> Iterator[Server]:
    """A server that asks after the code whether the browser is to be trusted."""
    with site.using(MFA_TRUST_ENABLED="1").serve() as server:
        yield server


def _app_code(*, is_wrong: bool = False) -> str:
    """What the authenticator app shows, or a code that it doesn't show for the next hours."""
    app, present = TOTP(SECRET), time.time()
    app.time = present
    if not is_wrong:
        return f"{app.token():06}"
    shown = {app.token() for app.time in range(int(present) - 7200, int(present) + 7200, 30)}
    return next(f"{number:06}" for number in range(1000) if number not in shown)


def _send_password(client: requests.Session, user: str) -> requests.Response:
    return submit(client, "/accounts/login/", login=user, password=PASSWORD)


def _send_key(client: requests.Session, key: SecurityKey) -> requests.Response:
    """Have the key sign the challenge that the page contains."""
    page = client.get(CODE_PAGE).text
    data = re.search(r'<script id="js_data" type="application/json">(.+?)</script>', page)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert data is not None
    assert token is not None
    challenge = json.loads(data[1])["request_options"]["publicKey"]["challenge"]
    address: str = client.address  # type: ignore[attr-defined]  # live.site.Client
    form = {
        "csrfmiddlewaretoken": token[1],
        "credential": key.sign(challenge, address=address),
    }
    headers = {"Referer": f"{address}{CODE_PAGE}"}
    return client.post(CODE_PAGE, data=form, headers=headers, allow_redirects=False)


def _claims(client: requests.Session, user: str) -> dict[str, Any]:
    """Refresh, have the API accept the user's access token, and read its claims."""
    refresh = client.post("/api/auth/refresh/")
    assert refresh.status_code == 200, refresh.text
    token = refresh.json()["access_token"]
    me = client.get("/api/auth/me/", headers=bearer(token))
    assert me.json()["username"] == user
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def _has_no_session(client: requests.Session, answer: requests.Response) -> bool:
    """Tell whether neither the answer nor the client has a refresh token."""
    return (
        COOKIE not in answer.headers.get("Set-Cookie", "")
        and client.post("/api/auth/refresh/").status_code == 401
    )


def test_password_alone_is_enough_without_a_second_factor(client: requests.Session) -> None:
    """The token says that it was all."""
    before = int(time.time())
    answer = _send_password(client, "dave")
    assert answer.status_code == 302, answer.text
    assert f"{COOKIE}=" in answer.headers["Set-Cookie"]
    claims = _claims(client, "dave")
    assert claims["amr"] == ["pwd"]
    assert before <= claims["auth_time"] <= time.time()


def test_password_and_code_open_a_session_with_both_methods(client: requests.Session) -> None:
    """None before the code is right. Each refresh repeats how and when the user logged in."""
    answer = _send_password(client, "alice")
    assert (answer.status_code, answer.headers["Location"]) == (302, CODE_PAGE)
    assert _has_no_session(client, answer)
    wrong = submit(client, CODE_PAGE, code=_app_code(is_wrong=True))
    assert wrong.status_code == 200
    assert _has_no_session(client, wrong)
    before = int(time.time())
    answer = submit(client, CODE_PAGE, code=_app_code())
    assert answer.status_code == 302, answer.text
    assert f"{COOKIE}=" in answer.headers["Set-Cookie"]
    first, second = _claims(client, "alice"), _claims(client, "alice")
    assert first["amr"] == second["amr"] == ["pwd", "otp"]
    assert before <= first["auth_time"] == second["auth_time"] <= time.time()
    assert first["jti"] != second["jti"]
    assert submit(client, "/accounts/logout/").status_code == 302
    assert client.post("/api/auth/refresh/").status_code == 401


def test_recovery_code_is_a_one_time_password_too(
    client: requests.Session, recovery_codes: Mapping[str, list[str]]
) -> None:
    """For a user who has lost the app."""
    _send_password(client, "bob")
    assert submit(client, CODE_PAGE, code=recovery_codes["bob"][0]).status_code == 302
    assert _claims(client, "bob")["amr"] == ["pwd", "otp"]


def test_security_key_is_named_as_a_key(
    client: requests.Session, security_key: SecurityKey
) -> None:
    """A key that isn't the user's opens nothing."""
    _send_password(client, "carol")
    wrong = _send_key(client, SecurityKey())
    assert wrong.status_code == 200
    assert _has_no_session(client, wrong)
    answer = _send_key(client, security_key)
    assert answer.status_code == 302, answer.text
    assert _claims(client, "carol")["amr"] == ["pwd", "swk"]


def test_sign_up_names_no_method(client: requests.Session) -> None:
    """There is no record of it at allauth."""
    password = {"password1": "a sturdy gate", "password2": "a sturdy gate"}
    new = {"username": "frank", "email": "frank@example.test"}
    assert submit(client, "/accounts/signup/", **new, **password).status_code == 302
    assert "amr" not in _claims(client, "frank")


@pytest.mark.parametrize("slash", ["/", ""])
def test_endpoint_that_asks_for_the_password_only_is_closed(
    client: requests.Session, slash: str
) -> None:
    """It would open a session without the second factor."""
    for user in ("alice", "dave"):
        credentials = {"username": user, "password": PASSWORD}
        answer = client.post(f"/api/auth/login{slash}", json=credentials)
        assert answer.status_code == 404
        assert _has_no_session(client, answer)


def test_trusted_browser_does_not_repeat_the_codes_of_before(
    trusting: Server, recovery_codes: Mapping[str, list[str]]
) -> None:
    """Neither that of an earlier login in the same Django session, nor that of a reauthentication.

    For the new session, the user has typed the password only.
    """
    with trusting.session() as client:
        _send_password(client, "erin")
        answer = submit(client, CODE_PAGE, code=_app_code())
        assert answer.headers["Location"] == TRUST_PAGE
        assert _has_no_session(client, answer)
        submit(client, TRUST_PAGE, action="trust")
        first = _claims(client, "erin")
        assert first["amr"] == ["pwd", "otp"]
        code = recovery_codes["erin"][0]
        assert submit(client, "/accounts/2fa/reauthenticate/", code=code).status_code == 302
        assert _send_password(client, "erin").headers["Location"] == "/"
        second = _claims(client, "erin")
        assert second["amr"] == ["pwd"]
        assert second["sid"] != first["sid"]


def test_abandoned_login_leaves_nothing_to_the_next_user(trusting: Server) -> None:
    """Of a shared browser: neither the session, nor the methods, nor the page to go on."""
    with trusting.session() as client:
        _send_password(client, "alice")
        assert submit(client, CODE_PAGE, code=_app_code()).headers["Location"] == TRUST_PAGE
        _send_password(client, "dave")
        assert _claims(client, "dave")["amr"] == ["pwd"]
        assert client.get(TRUST_PAGE, allow_redirects=False).status_code == 302
        assert _claims(client, "dave")["amr"] == ["pwd"]


def test_password_that_is_asked_for_again_opens_no_session(client: requests.Session) -> None:
    """As before a change of the second factors. The session stays as it is."""
    _send_password(client, "dave")
    before = _claims(client, "dave")
    answer = client.get("/accounts/2fa/totp/activate/", allow_redirects=False)
    assert answer.headers["Location"].startswith("/accounts/reauthenticate/")
    assert submit(client, answer.headers["Location"], password=PASSWORD).status_code == 302
    after = _claims(client, "dave")
    assert {name: after[name] for name in ("sid", "amr", "auth_time")} == {
        name: before[name] for name in ("sid", "amr", "auth_time")
    }
    assert client.get("/accounts/2fa/totp/activate/", allow_redirects=False).status_code == 200
