"""The protocols hold in every history of a small world, and need each of their rules."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest

from tests.models import deny_feed, revocation, rotation
from tests.models.walking import find_history

MODELS = (deny_feed, revocation, rotation)


def _histories(model: ModuleType, *, without: str | None = None) -> Iterator[str]:
    protocol = model.Protocol(without=without)
    for case, start in model.CASES.items():
        history = find_history(start, protocol.steps, protocol.violation)
        if history is not None:
            yield f"{case}: {history}"


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_protocol_holds(model: ModuleType) -> None:
    """With all of its rules, no history ends badly."""
    assert list(_histories(model)) == []


@pytest.mark.parametrize(
    ("model", "rule"), [(model, rule) for model in MODELS for rule in model.RULES]
)
def test_without_any_rule_the_protocol_fails(model: ModuleType, rule: str) -> None:
    """For each rule there is a history that only this rule prevents."""
    assert next(_histories(model, without=rule), None) is not None


def test_fail_over_and_back_is_found() -> None:
    """Two promotions within a hash's life: the process is the same as before the first."""
    history = next(_histories(revocation, without="replication_id"))
    assert history.startswith("fail-over")
    assert history.count("the replica is promoted") == 2
