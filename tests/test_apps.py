"""The connections after the start."""

from __future__ import annotations

import pytest
from django.db import connections

from jwt_auth.apps import _queries_allowed

pytestmark = pytest.mark.smoke


@pytest.mark.django_db(transaction=True)
def test_start_closes_the_connection_and_its_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """No two processes can share either, and a server may fork after its start."""
    closed: list[object] = []
    connection = connections["default"]

    def close_pool(self: object) -> None:
        closed.append(self)

    monkeypatch.setattr(type(connection), "close_pool", close_pool, raising=False)
    connection.ensure_connection()
    with _queries_allowed():
        assert connection.connection is not None
    assert connection.connection is None
    assert closed == [connection]
