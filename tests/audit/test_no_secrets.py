"""The whole flow with everything captured: no token, digest, password or private key gets out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser

from jwt_auth import flows
from jwt_auth.keys.stores.base import get_key_store
from jwt_auth.models import RefreshTokenFamily
from jwt_auth.tokens import refresh
from tests.conftest import MakeUser
from tests.http.site import COOKIE, MOBILE, Site

pytestmark = pytest.mark.user_model

NEW_PASSWORD = "another staple, another horse"
WRONG_PASSWORD = "a wrong guess at the password"


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Every record of every logger from DEBUG on: message, exception and all its attributes."""
    lines: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(logging.Formatter().format(record) + repr(vars(record)))

    collector = Collector()
    loggers = [logging.getLogger(name) for name in ("", *logging.root.manager.loggerDict)]
    former = [(logger, logger.level) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        logger.addHandler(collector)
    yield lines
    for logger, level in former:
        logger.setLevel(level)
        logger.removeHandler(collector)


class Spy(Site):
    """Keeps all answers, and all tokens that were given out with those that may have them."""

    def __init__(self, **defaults: Any) -> None:
        self.answers: list[str] = []
        self.given: set[str] = set()
        self.mailed: set[str] = set()
        super().__init__(**defaults)

    def generic(self, method: str, path: Any, *args: Any, **extra: Any) -> Any:
        """Send a request, and note what its answer gives out on purpose."""
        answer = super().generic(method, path, *args, **extra)
        text = answer.content.decode() + str(answer.headers) + answer.cookies.output()
        fresh = {value.value for name, value in answer.cookies.items() if name == COOKIE} - {""}
        if b"access_token" in answer.content:
            body = answer.json()
            fresh |= {body[name] for name in ("access_token", "refresh_token") if name in body}
        # What was given out before must not come again.
        self.answers.append(text)
        self.given |= fresh
        return answer


def _live_through_everything(site: Spy, credentials: dict[str, str]) -> None:
    wrong = {**credentials, "password": WRONG_PASSWORD}
    site.post("login/", wrong)
    site.post("login/", {**credentials, "username": ["not", "text"]})
    first = site.post("login/", credentials)
    token = first.json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    stale = {"Cookie": f"{COOKIE}={first.cookies[COOKIE].value}"}
    site.get("me/", headers=bearer)
    site.get("sessions/", headers=bearer)
    site.get("me/", headers={"Authorization": f"Bearer {token[:-3]}AAA"})
    site.get("me/", headers={"Authorization": f"Bearer {token} {token}"})
    site.post("refresh/", headers={"Idempotency-Key": "the page's retry key"})
    site.post("refresh/", headers=stale)  # reuse
    site.post("refresh/", headers={"Cookie": stale["Cookie"][:-3] + "AAA"})  # forged
    site.get("me/", headers=bearer)  # of a session that has ended
    mobile = site.post(f"{MOBILE}login/", credentials).json()
    site.post(f"{MOBILE}refresh/", {"refresh_token": mobile["refresh_token"]})
    site.post(f"{MOBILE}refresh/", {"refresh_token": mobile["refresh_token"] + "x"})
    bearer = {"Authorization": f"Bearer {site.post('login/', credentials).json()['access_token']}"}
    change = {"old_password": WRONG_PASSWORD, "new_password": NEW_PASSWORD}
    site.post("password/change/", change, headers=bearer)
    change["old_password"] = credentials["password"]
    site.post("password/change/", {**change, "new_password": "12345678"}, headers=bearer)
    bearer_of = site.post("password/change/", change, headers=bearer).json()["access_token"]
    site.get("/.well-known/jwks.json")
    _use_one_time_tokens(site)
    bearer_of = site.post("login/", {**credentials, "password": NEW_PASSWORD}).json()[
        "access_token"
    ]
    site.post("logout/", headers={"Authorization": f"Bearer {bearer_of}"})
    bearer_of = site.post("login/", {**credentials, "password": NEW_PASSWORD}).json()
    site.post("logout-all/", headers={"Authorization": f"Bearer {bearer_of['access_token']}"})


def _use_one_time_tokens(site: Spy) -> None:
    user = get_user_model()._default_manager.get()
    for purpose, path in (
        (flows.EMAIL_CONFIRMATION, "email/confirm/"),
        (flows.PASSWORD_RESET, "password/reset/confirm/"),
    ):
        token = flows.issue_one_time_token(
            user, purpose=purpose, lifetime=timedelta(hours=1), now=datetime.now(UTC)
        )
        site.mailed.add(token)
        for sent in (f"{token[:-3]}AAA", token, token):
            site.post(path, {"token": sent, "new_password": "12345678"})
            site.post(path, {"token": sent, "new_password": NEW_PASSWORD})


def _look_at_the_admin(site: Spy, make_user: MakeUser) -> None:
    fields: dict[str, Any] = {"is_staff": True}
    if hasattr(get_user_model(), "user_permissions"):
        fields["is_superuser"] = True
    administrator: Any = make_user("administrator", **fields)
    site.force_login(administrator)
    site.get("/admin/jwt_auth/refreshtokenfamily/")
    for family in RefreshTokenFamily.objects.all():
        site.get(f"/admin/jwt_auth/refreshtokenfamily/{family.pk}/change/")


def test_no_secret_gets_out(
    lines: list[str],
    user: AbstractBaseUser,
    make_user: MakeUser,
    credentials: dict[str, str],
) -> None:
    """In no record, and in no answer but the one that gives a token to its owner."""
    hashes = {user.password}
    site = Spy()
    _live_through_everything(site, credentials)
    _look_at_the_admin(site, make_user)

    hashes |= set(get_user_model()._default_manager.values_list("password", flat=True))
    digests = {
        text
        for family in RefreshTokenFamily.objects.all()
        for text in (family.current_digest, family.rotation_nonce)
        if text
    }
    refresh_tokens = {token for token in site.given if len(token) == refresh.LENGTH}
    digests |= {refresh.parse(token).digest for token in refresh_tokens}
    private = {key.jwk["d"] for key in get_key_store().load().keys}
    passwords = {credentials["password"], WRONG_PASSWORD, NEW_PASSWORD}
    assert len(refresh_tokens) >= 6
    assert len(lines) > 30

    log = "\n".join(lines)
    signatures = {token.rpartition(".")[2] for token in site.given | site.mailed}
    never = hashes | digests | private | passwords | site.mailed
    assert len(site.mailed) == 2
    assert not [secret for secret in never | site.given | signatures if secret in log]
    for answer in site.answers:
        assert not [secret for secret in never if secret in answer]
    for token in site.given:
        assert sum(token in answer for answer in site.answers) == 1


def test_repr_shows_no_secret(credentials: dict[str, str], user: AbstractBaseUser) -> None:
    """A debugger, a crash report and an f-string print it."""
    site = Spy()
    site.post("login/", credentials)
    family = RefreshTokenFamily.objects.get()
    (token,) = (token for token in site.given if len(token) == refresh.LENGTH)
    parsed = refresh.parse(token)
    ring = get_key_store().load()
    shown = "".join(map(repr, (family, parsed, ring, *ring.keys, get_key_store()))) + str(family)
    secrets = [token, parsed.digest, *(key.jwk["d"] for key in ring.keys)]
    assert not [secret for secret in secrets if secret in shown]
