"""allauth's adapter of docs/how-to/django-log-in.md, as it stands there."""

from __future__ import annotations

import runpy
from typing import Any

from tests.neighbours.packages import ALLAUTH_RECIPES

TokenAccountAdapter: Any = runpy.run_path(str(ALLAUTH_RECIPES / "adapter.py"))[
    "TokenAccountAdapter"
]
