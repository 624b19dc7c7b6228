"""Client processes that go on through all disturbances, and the sum of what they have seen."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

from tests.chaos.visitors import PROCESSES, VISITORS, names_of
from tests.live.site import COMMAND_TIMEOUT, ROOT, Server

#: The right answer to each kind of request.
_RIGHT = {"log-in": 200, "living": 200, "ended": 401, "revocation": 204}

#: How many of each kind show what becomes of them.
_ENOUGH = {"living": 20, "ended": 20, "revocation": 10}


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
    #: How often a worker has stopped to ask Redis.
    failures: int = 0
    #: Seconds.
    slowest: float = 0.0
    median: float = 0.0
    #: How long it lasted, and how long it then was until Redis was asked by one and by all workers.
    seconds: tuple[float, float, float] = (0.0, 0.0, 0.0)


class Traffic:
    """The processes, and the files that they write."""

    def __init__(self, processes: list[subprocess.Popen[str]], notes: list[Path]) -> None:
        self._processes = processes
        #: What is known of each file, and how many bytes of it that is.
        self._read_up_to = dict.fromkeys(notes, 0)
        self._notes: list[dict[str, Any]] = []

    def between(self, began: float, ended: float) -> Figures:
        """Sum up the requests that were sent in that time (of the monotonic clock)."""
        found = Figures()
        times = []
        self._read()
        for note in self._notes:
            if began <= note["began"] < ended:
                _count(found, note)
                times.append(note["ended"] - note["began"])
        times.sort()
        found.requests = len(times)
        found.median, found.slowest = times[len(times) // 2], times[-1]
        return found

    def is_busy_since(self, began: float) -> bool:
        """Tell whether enough has been asked from then on to show what becomes of it."""
        self._read()
        kinds: Counter[str] = Counter()
        for note in reversed(self._notes):
            if note["ended"] < began:
                break
            kinds[note["what"]] += note["began"] >= began
        return kinds >= Counter(_ENOUGH)

    def stop(self) -> None:
        """Have all processes look back, and end."""
        for process in self._processes:
            process.communicate(timeout=COMMAND_TIMEOUT)
            assert process.returncode == 0

    def _read(self) -> None:
        for path, offset in self._read_up_to.items():
            with path.open("rb") as file:
                file.seek(offset)
                text = file.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._read_up_to[path] += len(whole)
            self._notes += [json.loads(line) for line in whole.splitlines()]
        self._notes.sort(key=itemgetter("ended"))
        # A process that has died asks nothing more.
        assert not any(process.poll() for process in self._processes)


@contextmanager
def running(servers: Sequence[Server], folder: Path) -> Iterator[Traffic]:
    """Start the processes."""
    processes, notes = [], []
    try:
        for number in range(PROCESSES):
            notes.append(folder / f"notes-{number}.jsonl")
            notes[-1].touch()
            task = {
                "servers": [server.address for server in servers],
                "certificate": str(servers[0].certificate),
                "notes": str(notes[-1]),
                "users": [
                    names_of(visitor)
                    for visitor in range(number * VISITORS, (number + 1) * VISITORS)
                ],
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
