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
    if found is None and os.environ.get("REQUIRE_ALL") != "1":
        pytest.skip(f"{program} isn't installed")
    assert found is not None, f"{program} isn't installed"
    return found
