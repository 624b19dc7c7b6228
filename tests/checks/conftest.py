"""Settings that no check has anything against; each test spoils one."""

from __future__ import annotations

import pytest
from pytest_django import Settings


@pytest.fixture(autouse=True)
def _throttled(settings: Settings) -> None:
    """Turn the throttles on, which most tests have off: a check warns of that."""
    settings.JWT_AUTH_THROTTLE_RATES = {}
