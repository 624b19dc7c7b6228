"""Client processes that go on through all disturbances, and the sum of what they have seen."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.live.site import ROOT, Server

PROCESSES, VISITORS = 3, 3

#: The right answer to each kind of request.
_RIGHT = {"living": 200, "ended": 401, "revocation": 204}


@dataclass(kw_only=True)
class Figures:
    """What came of one disturbance."""

    requests: int = 0
    revocations: int = 0
    #: Requests with an ended token.
    ended: int = 0
    #: One line for each answer that nobody may get.
    accepted: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    #: Seconds.
    slowest: float = 0.0
    median: float = 0.0


class Traffic:
    """The processes, and the files that they write."""

    def __init__(self, processes: list[subprocess.Popen[str]], notes: list[Path]) -> None:
        self._processes = processes
        self._notes = notes
        #: The tokens of a session that no process has.
        self.spare: list[str] = []

    def between(self, began: float, ended: float) -> Figures:
        """Sum up the requests that were sent in that time (of the monotonic clock)."""
        found = Figures()
        times = []
        for note in self._read():
            if began <= note["began"] < ended:
                _count(found, note)
                times.append(note["ended"] - note["began"])
        times.sort()
        found.requests = len(times)
        found.median, found.slowest = times[len(times) // 2], times[-1]
        return found

    def is_up(self) -> bool:
        """Tell whether every process has sent something; none may have died."""
        assert all(process.poll() is None for process in self._processes)
        return all(path.exists() and path.stat().st_size for path in self._notes)

    def stop(self) -> None:
        """Have all processes look back, and end."""
        for process in self._processes:
            process.communicate(timeout=120)
            assert process.returncode == 0

    def _read(self) -> Iterator[dict[str, Any]]:
        for path in self._notes:
            text = path.read_text()
            for line in text[: text.rfind("\n") + 1].splitlines():
                yield json.loads(line)


@contextmanager
def running(servers: Sequence[Server], stock: list[Any], folder: Path) -> Iterator[Traffic]:
    """Start the processes; the stock is dealt out among all visitors."""
    visitors = PROCESSES * VISITORS
    hands = [stock[number::visitors] for number in range(visitors)]
    processes, notes = [], []
    try:
        for number in range(PROCESSES):
            notes.append(folder / f"notes-{number}.jsonl")
            task = {
                "servers": [server.address for server in servers],
                "certificate": str(servers[0].certificate),
                "notes": str(notes[-1]),
                "stock": hands[number::PROCESSES],
            }
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.visitors"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                text=True,
            )
            processes.append(process)
            assert process.stdin is not None
            process.stdin.write(json.dumps(task) + "\n")
            process.stdin.flush()
        yield Traffic(processes, notes)
    finally:
        for process in processes:
            process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()


def _count(found: Figures, note: dict[str, Any]) -> None:
    what, status = note["what"], note["status"]
    found.revocations += what == "revocation"
    found.ended += what == "ended"
    if status == _RIGHT[what]:
        return
    line = json.dumps(note)
    if what == "ended" and 200 <= status < 300:
        found.accepted.append(line)
    elif what == "living" and status in {401, 403}:
        found.refused.append(line)
    else:
        found.errors.append(line)


def now() -> float:
    """Read the clock that all processes of the machine share."""
    return time.monotonic()
