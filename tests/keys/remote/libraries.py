"""The libraries of the services, each an extra of the package."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

import pytest


def require(name: str, package: str) -> ModuleType:
    """Give the library; without it the tests of its store are skipped, in CI they fail."""
    try:
        return importlib.import_module(name)
    except ImportError:
        if os.environ.get("REQUIRE_ALL") == "1":
            raise
        reason = f'{name} is missing: pip install "{package}"'
        pytest.skip(reason, allow_module_level=True)
