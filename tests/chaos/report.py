"""The figures of a run: each test records a line, and the end of the run shows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

#: The property of a test under which its figures stand, in the JUnit report, too.
FIGURES: Final = "figures"

Record = Callable[[str, object], None]


def lines_of(reporter: pytest.TerminalReporter) -> list[str]:
    """Give the lines of all tests, in whichever process they ran."""
    reports = [
        report
        for reports in reporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
    ]
    return [
        str(value)
        for report in reports
        for name, value in report.user_properties
        if name == FIGURES
    ]
