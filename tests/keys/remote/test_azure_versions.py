"""Compare-and-swap by the order of versions, with any number of writers and clocks that differ."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jwt_auth.keys.stores.azure_versions import FOLLOWS, LOST, NOTHING, SETTLED, History, Version

_START: Final = datetime(2030, 1, 1, tzinfo=UTC)

#: Seconds: the default pause, and how far the service's clocks are apart.
SETTLE, APART = 3.0, 1.9


def version(
    id: str,  # noqa: A002
    seconds: int,
    follows: str | None,
    *,
    enabled: bool = True,
    settled: bool = False,
) -> Version:
    tags = {} if follows is None else {FOLLOWS: follows}
    if settled:
        tags[SETTLED] = "yes"
    created = _START + timedelta(seconds=seconds)
    return Version(id=id, created=created, enabled=enabled, tags=tags)


def current(*versions: Version) -> str | None:
    found = History(versions).find_current()
    return None if found is None else found.id


@dataclass(frozen=True, kw_only=True)
class Writer:
    """The moments in seconds at which one process saves, and the service's clock for it."""

    id: str
    reads: float
    pause: float
    clock: float
    #: The process ends after its write, so its version is neither checked nor marked.
    dies: bool = False

    @property
    def writes(self) -> float:
        return self.reads + self.pause


def play(writers: list[Writer], settle: float) -> tuple[list[Version], dict[str, str]]:
    """Run them against one secret. Return its versions, and what each winner replaced."""
    versions: dict[str, Version] = {}
    parents: dict[str, str] = {}
    winners: dict[str, str] = {}
    events = [
        *((writer.reads, 0, writer) for writer in writers),
        *((writer.writes, 1, writer) for writer in writers),
        *((writer.writes + settle, 2, writer) for writer in writers if not writer.dies),
    ]
    for moment, kind, writer in sorted(events, key=lambda event: event[:2]):
        history = History(list(versions.values()))
        if kind == 0:
            found = history.find_current()
            parents[writer.id] = NOTHING if found is None else found.id
        elif kind == 1:
            seconds = int(moment + writer.clock)
            versions[writer.id] = version(writer.id, seconds, parents[writer.id])
        elif history.has_won(writer.id):
            winners[writer.id] = parents[writer.id]
            versions[writer.id] = marked(versions[writer.id], SETTLED)
        else:
            versions[writer.id] = replace(marked(versions[writer.id], LOST), enabled=False)
    return list(versions.values()), winners


def marked(version: Version, tag: str) -> Version:
    return replace(version, tags={**version.tags, tag: "yes"})


def writers(count: int) -> st.SearchStrategy[list[Writer]]:
    moments = st.floats(0, 12)
    one = st.builds(
        Writer,
        id=st.text("0123456789abcdef", min_size=4, max_size=4),
        reads=moments,
        pause=moments,
        clock=st.floats(0, APART),
        dies=st.booleans(),
    )
    return st.lists(one, min_size=count, max_size=5, unique_by=lambda writer: writer.id)


@given(writers(2))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_winners_follow_each_other_in_one_line(writers: list[Writer]) -> None:
    """No two winners replace the same ring, and the last ring was made from all that have won.

    So a ring that was reported as saved was saved, even if other writers died half-way.
    """
    versions, winners = play(writers, SETTLE)
    assert len(set(winners.values())) == len(winners)
    follows = {version.id: version.follows for version in versions}
    line, id_ = set(), current(*versions)
    assert id_ is not None
    while id_ in follows:
        line.add(id_)
        id_ = follows[id_]
    assert winners.keys() <= line


def test_too_short_a_pause_would_have_two_win() -> None:
    """Without the pause, one writer checks before the other has written, with a smaller id."""
    two = [
        Writer(id="b", reads=0, pause=0.1, clock=0),
        Writer(id="a", reads=0, pause=0.4, clock=0),
    ]
    assert len(play(two, settle=0.1)[1]) == 2
    assert len(play(two, settle=SETTLE)[1]) == 1


@pytest.mark.parametrize(
    ("versions", "found"),
    [
        ([], None),
        ([version("a", 1, NOTHING)], "a"),
        ([version("a", 1, NOTHING, enabled=False)], None),
        # The first of two is the ring, by time and then by id, wherever it is listed.
        ([version("b", 1, NOTHING), version("a", 2, NOTHING)], "b"),
        ([version("b", 1, NOTHING), version("a", 1, NOTHING)], "a"),
        # A successor of a loser has lost as well.
        ([version("b", 1, NOTHING), version("a", 2, NOTHING), version("c", 9, "a")], "b"),
        # A settled version has won, whatever becomes of the others.
        ([version("b", 5, NOTHING, settled=True), version("a", 1, NOTHING, enabled=False)], "b"),
        # A version that follows a loser has lost, even after the winner was disabled.
        (
            [
                version("a", 1, NOTHING, enabled=False, settled=True),
                marked(version("b", 2, NOTHING, enabled=False), LOST),
                version("c", 9, "b"),
            ],
            None,
        ),
        # The version that it follows is disabled, or no longer listed.
        ([version("a", 1, NOTHING, enabled=False), version("b", 2, "a")], "b"),
        ([version("a", 1, NOTHING), version("b", 2, "a", enabled=False)], "a"),
        # Written by hand: the ring from its time on, until a version follows it.
        ([version("h", 1, None), version("a", 5, "h")], "a"),
        ([version("a", 1, NOTHING, settled=True), version("h", 5, None)], "h"),
        (
            [version("a", 1, NOTHING, settled=True), version("h", 5, None), version("b", 6, "a")],
            "h",
        ),
        (
            [version("a", 1, NOTHING, settled=True), version("h", 5, None), version("b", 4, "a")],
            "h",
        ),
        ([version("h", 5, None), version("a", 6, NOTHING)], "h"),
        ([version("g", 5, None), version("h", 5, None), version("a", 6, "h")], "a"),
    ],
    ids=str,
)
def test_history_has_one_current_version(versions: list[Version], found: str | None) -> None:
    """In any order in which the service may list them."""
    assert current(*versions) == current(*reversed(versions)) == found


def test_version_that_is_not_there_or_not_in_use_has_not_won() -> None:
    """An operator has disabled or removed it before its writer checked."""
    history = History([version("a", 1, NOTHING, enabled=False)])
    assert [history.has_won(id_) for id_ in ("a", "b")] == [False, False]
