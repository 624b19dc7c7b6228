"""Revocation answered by Redis: what a request costs, and who is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import Settings

from tests.revocation.contract import RevocationContract


@pytest.mark.django_db(transaction=True)
class TestContract(RevocationContract):
    @pytest.fixture(autouse=True)
    def _backend(self, revocation: dict[str, Any]) -> None:
        pass
