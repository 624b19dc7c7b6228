"""What the tests of messages share: the log, and no delay before a thread begins."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from jwt_auth.mail import background


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
