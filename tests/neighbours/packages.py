"""The packages that a project has beside this one; tox runs without them."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

#: What docs/how-to shows to set django-allauth up.
ALLAUTH_RECIPES = Path(__file__).parents[2] / "docs/how-to/recipes/allauth"

HINT = "pip install --group neighbours"


def optional(module: str) -> Any:
    """Import a module of a neighbour; skip the test where it is not installed.

    With REQUIRE_ALL=1, as in continuous integration, that is a failure.
    """
    try:
        return import_module(module)
    except ImportError:
        if os.environ.get("REQUIRE_ALL") == "1":
            raise
        pytest.skip(f"{module} is not installed: {HINT}", allow_module_level=True)


def required_file(path: Path) -> None:
    """Skip the module's tests where a program is missing; with REQUIRE_ALL=1, fail."""
    if not path.exists():
        hint = f"{path} is missing: apt install chromium"
        assert os.environ.get("REQUIRE_ALL") != "1", hint
        pytest.skip(hint, allow_module_level=True)
