"""What the tests of messages share: the log, and no delay before a thread begins."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from jwt_auth import flows
from jwt_auth.mail import background
from tests.mail.servers import use_server
from tests.mailbox import Mailbox, serve


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What the package logs; its loggers pass nothing on to the root, where pytest listens."""
    logger = logging.getLogger("jwt_auth")
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


@pytest.fixture
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have threads begin at once."""
    monkeypatch.setattr(background, "_DELAY", (0, 0))


@pytest.fixture
def links(settings: Settings) -> None:
    """The pages that messages link to."""
    settings.JWT_AUTH_PASSWORD_RESET_URL = "https://app.example.com/reset#token={token}"
    settings.JWT_AUTH_EMAIL_CONFIRMATION_URL = "https://app.example.com/confirm#token={token}"


@pytest.fixture
def mailbox(settings: Settings, links: None) -> Iterator[Mailbox]:
    """A mail server, which Django sends its mail to."""
    with serve() as mailbox:
        use_server(settings, mailbox.port)
        yield mailbox


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
