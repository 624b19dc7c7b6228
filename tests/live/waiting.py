"""Wait for what must happen, however slow the machine is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

#: Seconds. Only a test that fails takes them.
PATIENCE: Final = 120.0


def wait_until(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Wait until something holds.

    Raises:
        AssertionError: it never did.
    """
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.05)
