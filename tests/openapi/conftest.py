"""The schema of a URLconf, which must come without a warning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from pytest_django import Settings

URL = "https://app.example.com/#token={token}"

Describe = Callable[..., dict[str, Any]]


@pytest.fixture
def mails(settings: Settings) -> None:
    """The settings without which two endpoints are off."""
    settings.JWT_AUTH_PASSWORD_RESET_URL = settings.JWT_AUTH_EMAIL_CONFIRMATION_URL = URL


@pytest.fixture
def describe(mails: None) -> Describe:
    """Generate the schema."""

    def generate(urlconf: str = "tests.openapi.urls", **named: Any) -> dict[str, Any]:
        with GENERATOR_STATS.silence():
            schema: dict[str, Any] = SchemaGenerator(urlconf=urlconf, **named).get_schema(
                request=None, public=True
            )
            found = [*GENERATOR_STATS._warn_cache, *GENERATOR_STATS._error_cache]
        assert found == []
        return schema

    return generate
