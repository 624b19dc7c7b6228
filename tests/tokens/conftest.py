"""A forger of access tokens, with the key ring of the test run."""

from __future__ import annotations

import pytest

from tests.tokens.forging import Forge
from tests.tokens.forging import forge as take_key


@pytest.fixture
def forge() -> Forge:
    """Whoever holds the signing key."""
    return take_key()
