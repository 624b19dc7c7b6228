"""Keys in memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from jwt_auth.testing import put_first_keys_back


@pytest.fixture
def memory_keys(settings: Settings) -> Iterator[None]:
    """Have the settings name the store in memory, as a project's settings for tests do."""
    settings.JWT_AUTH_KEY_STORE = {"BACKEND": "jwt_auth.testing.MemoryKeyStore"}
    yield
    put_first_keys_back()
