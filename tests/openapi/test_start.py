"""The app without drf-spectacular."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.smoke

_START = """
import sys
sys.modules["drf_spectacular"] = None  # as if it were not installed
from django.conf import settings
settings.configure(
    INSTALLED_APPS=[
        *("django.contrib.auth", "django.contrib.contenttypes", "rest_framework", "jwt_auth"),
    ],
    ROOT_URLCONF="jwt_auth.urls",
    JWT_AUTH_ISSUER="https://issuer.example.com",
    JWT_AUTH_AUDIENCE="api",
)
import django
django.setup()
from django.urls import resolve
resolve("/login/")
print("jwt_auth.openapi" in sys.modules)
"""


def test_package_works_without_drf_spectacular() -> None:
    """It isn't imported before a project has it in INSTALLED_APPS, and no view needs it."""
    done = subprocess.run(
        [sys.executable, "-c", _START], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "False", done.stderr
