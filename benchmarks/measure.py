"""Interleaved rounds (A, B, C, A, B, C, …): whatever else the machine does hits all alike."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median, quantiles

from django.db import connection
from django.test.utils import CaptureQueriesContext

from benchmarks.contenders import Round


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Seconds per request of each round, by contender."""

    seconds: Mapping[str, list[float]]

    def median(self, name: str) -> float:
        """Give the median round's seconds per request."""
        return median(self.seconds[name])

    def added(self, name: str, base: str) -> list[float]:
        """Give what a contender adds to the base, compared within each round."""
        pairs = zip(self.seconds[name], self.seconds[base], strict=True)
        return [mine - bare for mine, bare in pairs]

    def quartiles(self, name: str) -> tuple[float, float]:
        """Give the first and third quartile, as a measure of the noise."""
        first, _, third = quantiles(self.seconds[name], n=4)
        return first, third


def interleave(contenders: Mapping[str, Round], *, rounds: int, requests: int) -> Samples:
    """Run so many rounds of so many requests each, after one that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for run in contenders.values():
        run(requests)
    gc.collect()
    for _ in range(rounds):
        for name, run in contenders.items():
            seconds[name].append(run(requests) / requests)
    return Samples(seconds=seconds)


def count_statements(run: Round) -> tuple[int, int]:
    """Count the SQL statements of one request: all, and without BEGIN, COMMIT and the like."""
    with CaptureQueriesContext(connection) as captured:
        run(1)
    texts = [query["sql"].split(maxsplit=1)[0].upper() for query in captured.captured_queries]
    return len(texts), sum(text in {"SELECT", "INSERT", "UPDATE", "DELETE"} for text in texts)
