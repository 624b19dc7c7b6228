"""No waiting between attempts, and one run in the matrix: no database has to do with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from jwt_auth.keys.stores import remote


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.live)
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_PAUSES", (0.01, 0.01))
