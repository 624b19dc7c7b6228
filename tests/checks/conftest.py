"""Settings that no check has anything against, which a test spoils; rings that it may spoil."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import call_command
from pytest_django import Settings

from jwt_auth.keys.stores.file import FileKeyStore


@pytest.fixture(autouse=True)
def _throttled(settings: Settings) -> None:
    """Turn the throttles on, which most tests have off: a check warns of that."""
    settings.JWT_AUTH_THROTTLE_RATES = {}


@pytest.fixture
def no_ring(file_store: FileKeyStore) -> Path:
    """The file of the settings' ring, which does not exist yet."""
    return Path(file_store.describe())


@pytest.fixture
def ring(no_ring: Path) -> Path:
    """The file of the settings' ring, with a key that signs."""
    call_command("generate_keys", verbosity=0)
    return no_ring
