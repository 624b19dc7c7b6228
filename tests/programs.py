"""Find the programs that some tests need, other than the database servers."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest


def need(program: str) -> str:
    """Find a program, or skip the test; with REQUIRE_ALL, a missing program is a failure."""
    # Some come with Python packages; the environment need not be active.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])
    found = shutil.which(program, path=path)
    _skip_without(found, program)
    assert found is not None
    return found


def need_file(path: Path, of: str) -> Path:
    """Find a file of a package that isn't a program, in the same way."""
    _skip_without(path.exists(), of)
    return path


def _skip_without(found: object, name: str) -> None:
    if not found and os.environ.get("REQUIRE_ALL") != "1":
        pytest.skip(f"{name} isn't installed")
    assert found, f"{name} isn't installed"
