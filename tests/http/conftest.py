"""A client of the endpoints, a session of Alice's, and the package's log."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.http.site import Session, Site, open_session


@pytest.fixture
def site(db: None) -> Site:
    """A client without credentials, which keeps the cookies that it is given."""
    return Site()


@pytest.fixture
def session(site: Site, credentials: dict[str, str]) -> Session:
    """A session of Alice's; `site` has its cookie."""
    return open_session(site, credentials)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What the package logs; its loggers pass nothing on to the root, where pytest listens."""
    logger = logging.getLogger("jwt_auth")
    logger.addHandler(caplog.handler)
    caplog.set_level(logging.DEBUG, logger="jwt_auth")
    caplog.set_level(logging.DEBUG, logger="jwt_auth.security")
    yield caplog
    logger.removeHandler(caplog.handler)
