"""What the workers of all servers have done, by their logs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.live.site import Server

#: An answered request by the access log, and what the circuit breaker says.
_LINE = re.compile(
    r"worker <(?P<answered>\d+)>"
    r"|\S+ \S+ ERROR (?P<failed>\d+) jwt_auth: Redis has failed .*"
    r"|\S+ \S+ WARNING (?P<back>\d+) jwt_auth: Redis is back: .*"
)


class Workers:
    """Counts since the servers were started; each worker has a process id."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._servers = servers
        #: Bytes of each log.
        self._read_up_to: Counter[Path] = Counter()
        self._answers: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._open: set[str] = set()

    def all_ask_redis(self) -> bool:
        """Tell whether no circuit is open."""
        self._read()
        return not self._open

    def mark(self) -> Mark:
        """Remember what has been until now."""
        self._read()
        return Mark(self, self._answers.copy(), self._failures.copy())

    def have_answered_since(self, answers: Counter[str]) -> bool:
        """Tell whether every worker has answered a request."""
        self._read()
        return len(self._answers - answers) == self._number

    def have_failed_since(self, failures: Counter[str]) -> bool:
        """Tell whether every worker has seen Redis fail."""
        self._read()
        return len(self._failures - failures) == self._number

    def failures_since(self, failures: Counter[str]) -> int:
        """Count how often a worker has stopped to ask Redis."""
        self._read()
        return (self._failures - failures).total()

    @property
    def _number(self) -> int:
        return sum(server.workers for server in self._servers)

    def _read(self) -> None:
        for server in self._servers:
            with server.log.open("rb") as log:
                log.seek(self._read_up_to[server.log])
                text = log.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._read_up_to[server.log] += len(whole)
            for line in whole.decode(errors="replace").splitlines():
                self._count(line)

    def _count(self, line: str) -> None:
        found = _LINE.fullmatch(line)
        if found is None:
            return
        pid = found[found.lastgroup or ""]
        if found.lastgroup == "answered":
            self._answers[pid] += 1
        elif found.lastgroup == "failed":
            self._failures[pid] += 1
            self._open.add(pid)
        else:
            self._open.discard(pid)


class Mark:
    """A moment in the life of all workers."""

    def __init__(self, workers: Workers, answers: Counter[str], failures: Counter[str]) -> None:
        self._workers = workers
        self._answers = answers
        self._failures = failures

    def all_have_answered(self) -> bool:
        """Tell whether every worker has answered a request since then."""
        return self._workers.have_answered_since(self._answers)

    def failures(self) -> int:
        """Count how often a worker has stopped to ask Redis since then."""
        return self._workers.failures_since(self._failures)

    def all_have_failed(self) -> bool:
        """Tell whether every worker has seen Redis fail since then."""
        return self._workers.have_failed_since(self._failures)
