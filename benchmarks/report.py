"""Report the figures, as tables to read and as data to compare with an earlier run."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from django.conf import settings
from django.db import connection

from benchmarks.measure import Samples

PARTS = ("views", "keys", "refreshes", "services", "plain_views")

#: The time that each contender may add to a request, divided by the time that simplejwt adds.
MAX_ADDED_RATIOS = {"ours": 0.6, "ours_redis": 0.35, "ours_redis_first": 0.55}

#: The time of a request in any state of the key ring, divided by the usual time: noise only.
MAX_KEYS_RATIO = 1.05

#: Our refreshes per second must be at least this many times simplejwt's.
MIN_REFRESH_RATIO = 3.0

_PACKAGES = (
    "Django",
    "djangorestframework",
    "djangorestframework-simplejwt",
    "PyJWT",
    "cryptography",
    "psycopg",
    "django-redis",
    "redis",
    "hiredis",
    "django-jwt-sessions",
)


def environment(*, rounds: int, requests: int, refreshes: int) -> dict[str, Any]:
    """Describe the machine, the versions and the run that the figures are from."""
    return {
        "user_model": settings.AUTH_USER_MODEL,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()}",
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "postgresql": _server_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "rounds": rounds,
        "requests_per_round": requests,
        "refreshes_per_round": refreshes,
    }


def of_views(samples: Samples, statements: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    """Sum up what each contender adds to the bare view, in microseconds per request."""
    rows: dict[str, Any] = {}
    theirs = median(samples.added("simplejwt", "bare"))
    for name in samples.seconds:
        row = {"us": _us(samples.median(name)), "us_quartiles": _noise(samples, name)}
        row["statements"] = statements[name][0]
        if name != "bare":
            added = median(samples.added(name, "bare"))
            row |= {"added_us": _us(added), "added_ratio": round(added / theirs, 3)}
        rows[name] = row
    bounds = [
        _bound(
            f"added by {name} <= {limit} of simplejwt's",
            rows[name]["added_ratio"],
            met=rows[name]["added_ratio"] <= limit,
        )
        for name, limit in MAX_ADDED_RATIOS.items()
        if name in rows
    ]
    return {"contenders": rows, "bounds": bounds}


def of_keys(samples: Samples) -> dict[str, Any]:
    """Compare each state of the key ring with the usual one, within each round."""
    rows: dict[str, Any] = {}
    bounds = []
    for name in samples.seconds:
        rows[name] = {"us": _us(samples.median(name)), "us_quartiles": _noise(samples, name)}
        if name == "ours":
            continue
        pairs = zip(samples.seconds[name], samples.seconds["ours"], strict=True)
        ratio = round(median(mine / plain for mine, plain in pairs), 3)
        rows[name]["ratio"] = ratio
        bound = f"{name} <= {MAX_KEYS_RATIO:g} of ours"
        bounds.append(_bound(bound, ratio, met=ratio <= MAX_KEYS_RATIO))
    return {"contenders": rows, "bounds": bounds}


def of_refreshes(samples: Samples, statements: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    """Sum up the refreshes per second."""
    rows = {
        name: {
            "us": _us(samples.median(name)),
            "us_quartiles": _noise(samples, name),
            "per_second": round(1 / samples.median(name)),
            "statements": statements[name][0],
            "statements_without_transaction_control": statements[name][1],
        }
        for name in samples.seconds
    }
    pairs = zip(samples.seconds["simplejwt"], samples.seconds["ours"], strict=True)
    ratio = round(median(theirs / ours for theirs, ours in pairs), 2)
    bound = f"ours >= {MIN_REFRESH_RATIO:g} times as many a second"
    return {"contenders": rows, "bounds": [_bound(bound, ratio, met=ratio >= MIN_REFRESH_RATIO)]}


def of_services(samples: Samples) -> dict[str, Any]:
    """Compare each with the bare view, within each round; no bounds."""
    rows: dict[str, Any] = {}
    for name in samples.seconds:
        rows[name] = {"us": _us(samples.median(name)), "us_quartiles": _noise(samples, name)}
        if name != "bare":
            rows[name]["added_us"] = _us(median(samples.added(name, "bare")))
            pairs = zip(samples.seconds[name], samples.seconds["bare"], strict=True)
            rows[name]["ratio"] = round(median(mine / bare for mine, bare in pairs), 2)
    return {"contenders": rows, "bounds": []}


def is_met(results: Mapping[str, Any]) -> bool:
    """Whether every bound is met."""
    return all(bound["met"] for part in PARTS for bound in results[part]["bounds"])


def show(results: Mapping[str, Any]) -> None:
    """Print everything as tables."""
    about = results["environment"]
    print(f"{about['user_model']}: {about['machine']}, load {about['load_before']}", end="; ")
    print(f"PostgreSQL {about['postgresql']}")
    print(f"Python {about['python']}, ", end="")
    print(", ".join(f"{name} {number}" for name, number in about["packages"].items()))
    print(
        f"{about['rounds']} interleaved rounds of {about['requests_per_round']} requests"
        f" ({about['refreshes_per_round']} refreshes); medians of the rounds\n"
    )
    for title in PARTS:
        part = results[title]
        _table(title, part["contenders"])
        for bound in part["bounds"]:
            print(f"{bound['bound']}: {bound['ratio']}, {'met' if bound['met'] else 'MISSED'}")
        print()


def _table(title: str, rows: Mapping[str, Mapping[str, Any]]) -> None:
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    print("  ".join([f"{title:<20}", *(f"{column:>13}" for column in map(_short, columns))]))
    for name, row in rows.items():
        cells = [str(row.get(column, "")) for column in columns]
        print("  ".join([f"{name:<20}", *(f"{cell:>13}" for cell in cells)]))


def _short(column: str) -> str:
    return {
        "us": "us/request",
        "us_quartiles": "quartiles",
        "statements_without_transaction_control": "no BEGIN etc.",
    }.get(column, column)


def _bound(text: str, ratio: float, *, met: bool) -> dict[str, Any]:
    return {"bound": text, "ratio": ratio, "met": met}


def _us(seconds: float) -> float:
    return round(seconds * 1e6, 1)


def _noise(samples: Samples, name: str) -> str:
    first, third = samples.quartiles(name)
    return f"{first * 1e6:.0f}-{third * 1e6:.0f}"


def _server_version() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        row = cursor.fetchone()
    return str(row[0]).split()[0] if row else "unknown"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
