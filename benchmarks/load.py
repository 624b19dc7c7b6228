"""Send requests at a fixed rate, whether or not answers keep up (an open loop)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from ssl import SSLContext
from statistics import quantiles
from time import perf_counter

#: So many requests are under way at most. Others wait, and their waiting counts as latency.
CONNECTIONS = 64


@dataclass(slots=True, kw_only=True)
class Load:
    """The outcome. Latencies are in seconds, from the time at which a request was due."""

    latencies: list[float] = field(default_factory=list)
    errors: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Give the answers per second."""
        return len(self.latencies) / self.seconds

    def percentile(self, percent: int) -> float:
        """Give the latency that so many percent of the requests didn't exceed, in milliseconds."""
        return quantiles(self.latencies, n=100)[percent - 1] * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where to send requests, and the texts of those that take turns."""

    port: int
    requests: Sequence[bytes]
    tls: SSLContext | None = None


def send(target: Target, *, rate: int, seconds: int) -> Load:
    """Send so many requests per second for so many seconds."""
    return asyncio.run(_send(target, rate=rate, total=rate * seconds))


async def _send(target: Target, *, rate: int, total: int) -> Load:
    load, numbers = Load(), count()

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", target.port, ssl=target.tls)

    async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (number := next(numbers)) < total:
            due = start + number / rate
            if (early := due - perf_counter()) > 0:
                await asyncio.sleep(early)
            try:
                writer.write(target.requests[number % len(target.requests)])
                load.errors += await _read(reader) != 200
            except (OSError, asyncio.IncompleteReadError):
                load.errors += 1
                reader, writer = await connect()
            load.latencies.append(perf_counter() - due)
        writer.close()

    connections = [await connect() for _ in range(CONNECTIONS)]
    start = perf_counter()
    await asyncio.gather(*(work(*connection) for connection in connections))
    load.seconds = perf_counter() - start
    return load


async def _read(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    status, _, headers = head.lower().partition(b"\r\n")
    length = headers.partition(b"content-length:")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(length))
    return int(status.split()[1])
