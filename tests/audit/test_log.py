"""What `jwt_auth.security` says of each event."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pwd import getpwuid
from typing import Any
from unittest.mock import ANY
from uuid import UUID, uuid4

import pytest
from django.contrib.auth import user_login_failed
from django.contrib.auth.base_user import AbstractBaseUser
from pytest_django import Settings
from rest_framework.exceptions import Throttled

from jwt_auth import flows, signals
from jwt_auth.exceptions import (
    AccessTokenRefused,
    OneTimeTokenRefused,
    RefreshSuperseded,
    RefreshTokenRefused,
    Refusal,
    ServiceClientRefused,
)
from jwt_auth.flows import Issued
from jwt_auth.http import throttling
from jwt_auth.keys.stores.base import get_key_store, send_event
from jwt_auth.models import Client, Reason
from jwt_auth.tokens.refresh import issue_first
from tests.flows.scene import BROWSER, log_in, refresh, refusal_of
from tests.http.conftest import cheap_argon2, log  # noqa: F401  fixtures
from tests.http.site import Site

pytestmark = [pytest.mark.user_model, pytest.mark.smoke]

Records = list[tuple[str, dict[str, Any]]]

_FROM = {"ip_address": BROWSER.ip_address, "user_agent": BROWSER.user_agent}


@pytest.fixture
def issued(user: AbstractBaseUser) -> Issued:
    """A session of Alice's."""
    return log_in(user)


@pytest.fixture
def records(issued: Issued, log: pytest.LogCaptureFixture) -> Iterator[Records]:  # noqa: F811
    """Level and fields of each record from here on, filled as they come."""
    found: Records = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append((record.levelname, record.jwt_auth))  # type: ignore[attr-defined]

    logger = logging.getLogger("jwt_auth.security")
    collector = Collector()
    logger.addHandler(collector)
    yield found
    logger.removeHandler(collector)


def _of(issued: Issued, user: AbstractBaseUser) -> dict[str, Any]:
    return {
        "user_id": str(user.pk),
        "session_id": str(issued.family.pk),
        **_FROM,
    }


def test_login_and_refresh_are_recorded(
    records: Records, issued: Issued, user: AbstractBaseUser
) -> None:
    """Who, which session, and from where."""
    second = log_in(user)
    refresh(second)
    assert records == [
        ("INFO", {"event": "session_opened", **_of(second, user)}),
        ("INFO", {"event": "session_refreshed", **_of(second, user)}),
    ]


def test_retries_are_recorded(records: Records, issued: Issued, user: AbstractBaseUser) -> None:
    """One that was answered, and one that came too late."""
    first = issued.refresh_token.text
    refresh(first, key="k")
    successor = refresh(first, key="k").refresh_token.text
    refresh(successor)
    with pytest.raises(RefreshSuperseded):
        refresh(first, key="k")
    assert [fields for _, fields in records if fields["event"] == "refresh_retried"] == [
        {"event": "refresh_retried", "superseded": late, **_of(issued, user)}
        for late in (False, True)
    ]


def test_reuse_is_a_warning_with_a_hint(
    records: Records, issued: Issued, user: AbstractBaseUser
) -> None:
    """And the end of the session is a record of its own."""
    first = issued.refresh_token.text
    now = datetime.now(UTC)
    refresh(first, now=now)
    with pytest.raises(RefreshTokenRefused):
        refresh(first, now=now)
    _, (_, ended), (level, reuse) = records
    assert ended["event"] == "session_ended"
    assert (ended["reason"], ended["session_ids"]) == ("reuse_detected", [str(issued.family.pk)])
    assert (level, reuse["event"]) == ("WARNING", "reuse_detected")
    assert (reuse["token_generation"], reuse["generation"]) == (1, 2)
    assert "Idempotency-Key" in reuse["hint"]


def test_forged_refresh_token_is_a_warning(records: Records) -> None:
    """It names nobody: what it says is not to be believed."""
    with pytest.raises(RefreshTokenRefused):
        refresh("A" * 92)
    assert records == [("WARNING", {"event": "refresh_token_forged", **_FROM})]


def test_service_clients_are_recorded(
    records: Records,
    cheap_argon2: None,  # noqa: F811
) -> None:
    """Each by its name, and never by its secret."""
    now = datetime.now(UTC)
    service, secret = flows.create_service_client("gateway", now=now)
    with pytest.raises(ServiceClientRefused):
        flows.verify_service_client(str(service.pk), "wrong", client=BROWSER, attempt=nullcontext())
    flows.deactivate_service_client(service, now=now)
    fields = {"client_id": str(service.pk), "name": "gateway"}
    assert records == [
        ("INFO", {"event": "service_client_created", **fields}),
        ("WARNING", {"event": "service_client_refused", "name": "gateway", **_FROM}),
        ("INFO", {"event": "service_client_deactivated", **fields}),
    ]
    assert secret not in str(records)


@pytest.mark.parametrize(
    ("generation", "level", "reason"),
    [(None, "INFO", "unknown"), (9, "WARNING", "impossible")],
)
def test_refused_genuine_token_is_recorded(
    generation: int | None, level: str, reason: str, records: Records, issued: Issued
) -> None:
    """One from ahead of the row is worth a look: a restored backup, or a stolen SECRET_KEY."""
    token = issue_first(issued.family.pk if generation else uuid4())
    with pytest.raises(RefreshTokenRefused):
        refresh(token.successor(b"nonce").text if generation else token.text)
    ((found, fields),) = records
    assert (found, fields["event"], fields["reason"]) == (level, "refresh_token_refused", reason)
    assert fields["session_id"] == str(token.family_id)


def test_refused_access_token_is_recorded_with_its_reason(
    records: Records, issued: Issued, user: AbstractBaseUser
) -> None:
    """With whose it was, where its signature was good."""
    now = datetime.now(UTC)
    flows.end_session(issued.family.pk, reason=Reason.ADMINISTRATOR, client=None, now=now)
    for text in (issued.access_token.text, "a.b.c"):
        with pytest.raises(AccessTokenRefused):
            flows.authenticate(text, client=BROWSER, now=now)
    (level, ended), (_, known), (_, unknown) = records
    assert (level, ended["user_id"], "ip_address" in ended) == ("INFO", str(user.pk), False)
    assert (known["reason"], known["session_id"]) == ("session_ended", str(issued.family.pk))
    assert known.keys() >= {"jti", "kid", "user_id"}
    assert unknown.keys() == {"event", "reason", "ip_address", "user_agent"}


def test_expired_access_token_is_no_news(records: Records, issued: Issued) -> None:
    """Every session's token expires four times an hour: at DEBUG only."""
    later = datetime.now(UTC) + timedelta(minutes=16)
    assert refusal_of(issued, now=later) is Refusal.EXPIRED
    ((level, fields),) = records
    assert (level, fields["reason"]) == ("DEBUG", "expired")


def test_revoked_access_tokens_are_recorded(records: Records, user: AbstractBaseUser) -> None:
    """With who asked for it, if it was a request."""
    flows.revoke_access_tokens(user.pk, client=BROWSER, now=datetime.now(UTC))
    ((level, fields),) = records
    assert (level, fields["event"]) == ("INFO", "access_tokens_revoked")
    assert (fields["user_id"], fields["ip_address"]) == (str(user.pk), BROWSER.ip_address)


@pytest.mark.django_db(transaction=True)
def test_one_time_tokens_are_recorded(
    records: Records, issued: Issued, user: AbstractBaseUser
) -> None:
    """Used, refused and the address that it confirms: neither the token nor the address."""
    now = datetime.now(UTC)
    token = flows.issue_one_time_token(
        user, purpose=flows.EMAIL_CONFIRMATION, lifetime=timedelta(hours=1), now=now
    )
    flows.confirm_address(token, client=BROWSER, now=now)
    with pytest.raises(OneTimeTokenRefused):
        flows.confirm_address(token, client=BROWSER, now=now)
    who = {"user_id": str(user.pk), **_FROM}
    told = {**who, "purpose": "email_confirmation"}
    assert records == [
        ("INFO", {"event": "one_time_token_used", **told}),
        ("INFO", {"event": "email_confirmed", **who}),
        ("INFO", {"event": "one_time_token_refused", "reason": "used", **told}),
    ]


def test_denied_token_and_end_of_everything_are_recorded(records: Records) -> None:
    """By an administrator, who has no address here."""
    now = datetime.now(UTC)
    flows.deny_token("a jti", user_id=None, expires_at=now, now=now)
    flows.end_all_sessions(reason=Reason.KEY_COMPROMISE, client=None, now=now)
    assert [fields for _, fields in records] == [
        {"event": "token_denied", "jti": "a jti", "user_id": None},
        {
            "event": "session_ended",
            "user_id": None,
            "session_ids": "all",
            "reason": "key_compromise",
        },
    ]


@pytest.mark.parametrize(
    ("event", "fields", "level"),
    [
        ("loaded", {"routine": True}, "DEBUG"),
        ("loaded", {}, "INFO"),
        ("activated", {}, "INFO"),
        ("refused", {"operation": "load", "reason": "key_ring_torn"}, "WARNING"),
        ("refused", {"operation": "save", "reason": "key_ring_conflict"}, "INFO"),
    ],
)
def test_key_event_is_recorded(
    event: str, fields: dict[str, Any], level: str, records: Records
) -> None:
    """With who did it; routine reloads are many, the rest is news, and a refusal may be trouble."""
    send_event(event, get_key_store(), "k", kids=["k"], **fields)
    who = {"pid": os.getpid(), "command": ANY, "system_user": getpwuid(os.geteuid()).pw_name}
    told = {"kid": "k", "kids": ["k"], "store": get_key_store().describe(), **who}
    fields.pop("routine", None)
    assert records == [(level, {"event": f"key_{event}", **told, **fields})]


def test_user_agent_can_forge_no_line(log: pytest.LogCaptureFixture) -> None:  # noqa: F811
    """What a client wrote is quoted and cut: a newline in it begins no record."""
    client = Client(ip_address=None, user_agent="x\n2026 INFO session_opened\x1b[2J" + "y" * 500)
    signals.refresh_token_forged.send_robust(sender=object, client=client)
    message = log.records[-1].getMessage()
    assert message.startswith("refresh_token_forged ip_address=None user_agent='x\\n2026")
    assert message.isprintable()
    assert len(message) < 250


def test_level_that_is_off_costs_nothing(
    log: pytest.LogCaptureFixture,  # noqa: F811
) -> None:
    """No text is made for nobody."""

    class Untouchable:
        def __str__(self) -> str:
            raise AssertionError

        __repr__ = __str__

    logging.getLogger("jwt_auth.security").setLevel(logging.ERROR)
    try:
        answers = signals.token_denied.send_robust(sender=object, jti=Untouchable(), user_id=None)
    finally:
        logging.getLogger("jwt_auth.security").setLevel(logging.INFO)
    assert [answer for _, answer in answers] == [None] * len(answers)


def test_receiver_that_fails_changes_no_outcome(issued: Issued) -> None:
    """A project's own receiver can't undo what happened, nor make a 500 of it."""

    def fail(**named: Any) -> None:
        raise RuntimeError

    signals.session_refreshed.connect(fail)
    try:
        assert isinstance(refresh(issued.refresh_token.text).family.pk, UUID)
    finally:
        signals.session_refreshed.disconnect(fail)


@pytest.mark.usefixtures("issued")
def test_failed_log_in_is_recorded_without_the_name(
    records: Records, credentials: dict[str, str]
) -> None:
    """People type their password as their name; a digest tells one account's failures as well."""
    for name in (credentials["username"], credentials["username"], "hunter2"):
        Site().post("login/", {"username": name, "password": "wrong"}, headers={"User-Agent": "x"})
    accounts = [fields.pop("account") for _, fields in records]
    assert accounts[0] == accounts[1] != accounts[2]
    expected = {"event": "log_in_failed", "ip_address": "127.0.0.1", "user_agent": "x"}
    assert records == [("WARNING", expected)] * 3
    assert "hunter2" not in str(accounts)


def test_failed_log_in_without_a_request_or_name_is_recorded(records: Records) -> None:
    """Other backends send the signal as they like."""
    user_login_failed.send(sender="test", credentials={}, request=None)
    assert records == [("WARNING", {"event": "log_in_failed", "account": None})]


def test_throttled_attempt_is_recorded(records: Records, settings: Settings) -> None:
    """The scope, and a digest of who."""
    settings.JWT_AUTH_THROTTLE_RATES = {"login_account": "1/min"}
    throttling.count("login_account", "alice", now=0)
    with pytest.raises(Throttled):
        throttling.count("login_account", "alice", now=0)
    ((level, fields),) = records
    assert (level, fields["event"], fields["scope"]) == (
        "WARNING",
        "attempt_throttled",
        "login_account",
    )
    assert "alice" not in fields["ident"]


@pytest.mark.django_db
def test_cross_site_request_is_recorded(records: Records) -> None:
    """Where it went, and from whose browser."""
    Site().post("login/", {}, headers={"Origin": "https://evil.example", "User-Agent": "x"})
    ((level, fields),) = records
    assert (level, fields["event"], fields["user_agent"]) == ("WARNING", "cross_site_refused", "x")
    assert fields["path"].endswith("/login/")
    assert fields["reason"] == "origin"
