"""Mail servers that are down, slow, full or rude: no request fails, and no log holds a secret."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NoReturn

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.mail import EmailMessage
from django.test import RequestFactory
from django.views.debug import ExceptionReporter
from django.views.decorators.debug import sensitive_variables
from pytest_django import Settings

from jwt_auth import flows
from jwt_auth.exceptions import MailNotSent
from jwt_auth.mail import deliver, password_reset
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


@pytest.fixture
def tokens(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each token that was put into a message."""
    issued: list[str] = []
    issue = flows.issue_one_time_token

    def record(*args: Any, **arguments: Any) -> str:
        issued.append(issue(*args, **arguments))
        return issued[-1]

    monkeypatch.setattr(flows, "issue_one_time_token", record)
    return issued


@sensitive_variables()
def _send_unguarded(kind: str, *, address: str) -> None:
    password_reset.send(address=address)


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


@pytest.mark.parametrize("send", [deliver, _send_unguarded])
def test_error_mail_shows_neither_address_nor_token(
    send: Callable[..., None],
    user: AbstractBaseUser,
    settings: Settings,
    tokens: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Django mails the local variables of each frame, also those of the modules that compose."""
    settings.DEBUG = False

    def fail(*args: Any, **arguments: Any) -> NoReturn:
        raise LookupError

    monkeypatch.setattr(EmailMessage, "send", fail)
    with pytest.raises((MailNotSent, LookupError)) as raised:
        send("password_reset", address=ADDRESS)
    frames = raised.tb.tb_next  # without this one, whose variables are the secrets
    reporter = ExceptionReporter(RequestFactory().get("/"), raised.type, raised.value, frames)
    shown = reporter.get_traceback_html()
    (token,) = tokens
    assert "jwt_auth/mail/" in shown
    assert token not in shown
    assert ADDRESS not in shown
