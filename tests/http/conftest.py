"""A client of the endpoints, a session of Alice's, a service, and the package's log."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher

from jwt_auth import flows
from jwt_auth.http.views import base as views
from tests.conftest import MakeUser
from tests.http.services import Service
from tests.http.site import Session, Site, open_session


class Clock:
    """The time of the requests: a millisecond from one to the next, and what a test adds."""

    def __init__(self) -> None:
        self.now = time.time()

    def time(self) -> float:
        """Stand in for the module `time`."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Have the endpoints go by a clock that the test owns."""
    clock = Clock()

    class Owned(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            clock.now += 0.001
            return datetime.fromtimestamp(clock.now, tz)

    monkeypatch.setattr(views, "datetime", Owned)
    return clock


@pytest.fixture
def site(db: None) -> Site:
    """A client without credentials, which keeps the cookies that it is given."""
    return Site()


@pytest.fixture
def session(site: Site, credentials: dict[str, str]) -> Session:
    """A session of Alice's; `site` has its cookie."""
    return open_session(site, credentials)


@pytest.fixture
def bobs(make_user: MakeUser, password: str) -> Session:
    """A session of Bob's, in a browser of his own."""
    bob = make_user("bob")
    return open_session(Site(), {"username": bob.get_username(), "password": password})


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What the package logs; its loggers pass nothing on to the root, where pytest listens."""
    logger = logging.getLogger("jwt_auth")
    logger.addHandler(caplog.handler)
    caplog.set_level(logging.DEBUG, logger="jwt_auth")
    caplog.set_level(logging.DEBUG, logger="jwt_auth.security")
    yield caplog
    logger.removeHandler(caplog.handler)


@pytest.fixture
def cheap_argon2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one run of Argon2 take a moment only."""
    monkeypatch.setattr(Argon2PasswordHasher, "memory_cost", 64)
    monkeypatch.setattr(Argon2PasswordHasher, "parallelism", 1)


@pytest.fixture
def service(db: None, cheap_argon2: None) -> Service:
    """A service that may ask about tokens."""
    client, secret = flows.create_service_client("gateway", now=datetime.now(UTC))
    return Service(client=client, secret=secret)
