"""`TEST_LENGTH=long` has tests with servers take the minutes that they cut short else."""

from __future__ import annotations

import os
from typing import Final

LONG: Final = os.environ.get("TEST_LENGTH") == "long"
