"""The schema against the running server: a small, repeatable share of what `python -m
tests.live.schema` sends.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live.conftest import MakeSite
from tests.live.schema.fuzzing import USER, attack, prepare
from tests.neighbours.packages import optional

optional("schemathesis")

# Seconds; other tests run at the same time.
pytestmark = [pytest.mark.live, pytest.mark.example, pytest.mark.timeout(600)]

#: Both mounts have the same views for these, so one of them is enough here.
SHARED = "/api/mobile/auth/(email|logout-all|me|password|sessions|verify)"

#: At least; the phases "examples" and "coverage" alone send more.
CASES = 500


def test_server_answers_as_the_schema_says(
    make_site: MakeSite, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """No 5xx, and no status, header or body that the schema doesn't describe."""
    site, knowledge = prepare(make_site(USER))
    with site.serve() as server:
        result = attack(
            server,
            site,
            knowledge,
            examples=3,
            seed=1,
            log=tmp_path / "log",
            arguments=("--exclude-path-regex", SHARED),
        )
    record_property("cases", str(result.cases))
    assert result.is_good, result.report
    assert result.cases >= CASES
    answered = {status for statuses in result.statuses.values() for status in statuses}
    assert {200, 204, 400, 401, 404, 415} <= answered
