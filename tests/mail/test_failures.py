"""Mail servers that are down, slow, full or rude: no request fails, and no log holds a secret."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import FrameType, TracebackType
from typing import NoReturn

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.mail import EmailMessage
from django.db import connection
from django.test import RequestFactory
from django.views.debug import ExceptionReporter
from pytest_django import Settings

from jwt_auth.exceptions import MailNotSent
from jwt_auth.mail import deliver
from tests.conftest import MakeUser
from tests.http.site import Site
from tests.mail import servers
from tests.mail.servers import use_server

pytestmark = [pytest.mark.smoke, pytest.mark.usefixtures("links")]

ADDRESS = "alice@example.com"

Server = Callable[[], AbstractContextManager[int]]

FAILURES = {
    "refuses connections": (servers.closed, "ConnectionRefusedError"),
    "says nothing": (servers.silent, "(TimeoutError|SMTPServerDisconnected)"),
    "refuses the recipient": (
        lambda: servers.running(servers.RefusingMailbox()),
        "SMTPRecipientsRefused 550",
    ),
    "refuses the message": (lambda: servers.running(servers.FullMailbox()), "SMTPDataError 552"),
    "hangs up": (
        lambda: servers.running(servers.ClosingMailbox()),
        r"(SMTPServerDisconnected|SMTPDataError \d+)",
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_failing_server_costs_no_request_its_answer(
    failure: str,
    user: AbstractBaseUser,
    settings: Settings,
    log: pytest.LogCaptureFixture,
    tokens: list[str],
) -> None:
    """202, and one error in the log, with the kind and the reason but without address or link."""
    start, reason = FAILURES[failure]
    with start() as port:
        use_server(settings, port, timeout=0.2 if start is servers.silent else 60)
        answer = Site().post("password/reset/", {"email": ADDRESS})
    assert answer.status_code == 202
    (record,) = [record for record in log.records if record.name == "jwt_auth"]
    assert record.levelno == logging.ERROR
    said = rf"A message \(password_reset\) could not be sent: {reason}\."
    assert re.fullmatch(said, record.getMessage())
    everything = logging.Formatter().format(record) + repr(vars(record))
    (token,) = tokens
    for secret in (ADDRESS, token, token.rpartition(".")[2], "app.example.com"):
        assert secret not in everything


def test_error_has_no_trace_of_the_first_one(user: AbstractBaseUser, settings: Settings) -> None:
    """A task queue stores the error with its context, whose text would be the address."""
    with servers.running(servers.RefusingMailbox()) as port:
        use_server(settings, port)
        with pytest.raises(MailNotSent) as raised:
            deliver("password_reset", address=ADDRESS)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None


@pytest.mark.sql
@pytest.mark.user_model
def test_message_that_fails_costs_no_other_user_theirs(
    make_user: MakeUser, settings: Settings
) -> None:
    """Of the users who share an address; the failure is still reported."""
    if get_user_model()._meta.get_field("email").unique and connection.vendor == "mysql":
        pytest.skip("this address is unique whatever its case, so nobody can share it")
    for number, name in enumerate(("share", "Share", "SHARE")):
        make_user(f"user{number}", email=f"{name}@example.com")
    mailbox = servers.ForgetfulMailbox()
    with servers.running(mailbox) as port:
        use_server(settings, port)
        with pytest.raises(MailNotSent, match="SMTPRecipientsRefused 550") as raised:
            deliver("password_reset", address="share@example.com")
    assert len(mailbox.refused) == 1
    assert len(mailbox.mails) == 2
    assert raised.value.__context__ is None


def test_error_mail_shows_neither_address_nor_token(
    user: AbstractBaseUser,
    settings: Settings,
    tokens: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a backend that lets Django report its error with the local variables of all callers."""
    settings.DEBUG = False

    reports: list[str] = []

    def fail(message: EmailMessage) -> NoReturn:
        error = LookupError()
        frame: FrameType | None = sys._getframe()
        reported = None
        while frame is not None and frame.f_code is not test_code:
            reported = TracebackType(reported, frame, frame.f_lasti, frame.f_lineno)
            frame = frame.f_back
        request = RequestFactory().get("/")
        reports.append(
            ExceptionReporter(request, LookupError, error, reported).get_traceback_html()
        )
        raise error

    test_code = sys._getframe().f_code
    monkeypatch.setattr(EmailMessage, "send", fail)
    with pytest.raises(MailNotSent):
        deliver("password_reset", address=ADDRESS)
    (shown,) = reports
    (token,) = tokens
    assert "links.py" in shown
    assert token not in shown
    assert ADDRESS not in shown
