"""The claims of a project and of a session, as they are given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from jwt_auth.exceptions import ClaimsInvalid
from jwt_auth.tokens.own_claims import SETTING, require_claims


class Computed(Mapping[str, object]):
    """A mapping that has the name "sub" from a certain reading on."""

    def __init__(self, good_readings: int) -> None:
        self.good_readings = good_readings

    def __iter__(self) -> Iterator[str]:
        self.good_readings -= 1
        return iter(["tenant"] if self.good_readings >= 0 else ["sub"])

    def __getitem__(self, name: str) -> object:
        return "another"

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize("good_readings", range(5))
def test_mapping_can_not_change_after_it_was_judged(good_readings: int) -> None:
    """The claims that go into the token are those that were judged."""
    try:
        claims = require_claims(Computed(good_readings), source=SETTING)
    except ClaimsInvalid:
        return
    assert dict(claims) == {"tenant": "another"}
