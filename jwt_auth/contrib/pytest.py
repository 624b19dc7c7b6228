"""pytest: keys in memory for all tests of a project, no throttles, and fixtures for sessions.

Write ``pytest_plugins = ["jwt_auth.contrib.pytest"]`` in the ``conftest.py`` of the root folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rest_framework.test import APIClient

# The fixtures import what they need: pytest may import a plugin before the project has set Django
# up.


@pytest.fixture(scope="session", autouse=True)
def _jwt_auth_in_memory() -> Iterator[None]:
    from django.test import override_settings

    from jwt_auth.testing import settings_for_tests

    with override_settings(**settings_for_tests()):
        yield


@pytest.fixture(autouse=True)
def _jwt_auth_first_keys() -> Iterator[None]:
    from jwt_auth.testing import put_first_keys_back

    yield
    put_first_keys_back()


@pytest.fixture
def access_token_for() -> Callable[..., str]:
    """Open a session for a user: ``access_token_for(user, claims={…})`` returns its token."""
    from jwt_auth.testing import access_token_for

    return access_token_for


@pytest.fixture
def api_client_for() -> Callable[..., APIClient]:
    """Open a session for a user: ``api_client_for(user)`` returns a client that sends its token."""
    from jwt_auth.testing import api_client_for

    return api_client_for
