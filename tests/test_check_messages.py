"""The line to write, in the checks' messages."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jwt_auth.check_messages import setting_line
from jwt_auth.conf import DEFAULTS


@pytest.mark.parametrize("name", DEFAULTS)
def test_line_without_a_value_has_the_default(name: str) -> None:
    """What Python reads from the line is the default itself."""
    line = setting_line(name)
    assert line.startswith(f"Write JWT_AUTH_{name} = ")
    assert eval(line.partition(" = ")[2], {"timedelta": timedelta}) == DEFAULTS[name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ACCESS_TOKEN_LIFETIME", "timedelta(minutes=15)"),
        ("SESSION_LIFETIME", "timedelta(days=30)"),
        ("CLOCK_LEEWAY", "timedelta(0)"),
        ("ALGORITHM", '"ES256"'),
        ("REVOCATION", '{"BACKEND": "jwt_auth.revocation.database.DatabaseRevocation"}'),
        ("REFRESH_COOKIE_SECURE", "True"),
        ("TENANT", "None"),
    ],
)
def test_default_is_written_as_a_project_would(name: str, value: str) -> None:
    """In the largest unit, and in double quotes."""
    assert setting_line(name) == f"Write JWT_AUTH_{name} = {value}"
