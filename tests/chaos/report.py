"""The figures of a run, printed at its end."""

from __future__ import annotations

from typing import Final

LINES: Final[list[str]] = []
