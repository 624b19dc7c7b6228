"""Measure whether the time of `password/reset/` tells which addresses have an account:
`python -m benchmarks.reset_timing`.

Everything runs on this machine: gunicorn with the example project, an SMTP server that takes the
mails, and a client that sends one request after the other over one connection. Requests come in
pairs, one for an address with an account and one for an address without, in random order. Whatever
else the machine does at that moment affects both requests of a pair alike.

A pair gives one difference. The trimmed mean of the differences leaves out the largest and the
smallest fifth, which are the machine's. Its confidence interval is Yuen's, from the winsorized
variance. The p-value is that of a permutation test: it flips the signs of the differences at
random, and counts how often their trimmed mean is as far from zero.

A measurement that finds nothing says little unless it would have found something. So a second one
has a dispatcher that computes for 200 µs more if the address has an account, and must find it.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from statistics import fmean, median, stdev
from time import perf_counter_ns
from urllib.parse import urlsplit

from benchmarks.planted import KNOWN, VARIABLE
from tests.live.site import Site
from tests.live.waiting import wait_until
from tests.revocation.redis.servers import free_port

ACCOUNTS = tuple(f"{KNOWN}{number:03}" for number in range(100))

#: The part of the differences that is left out, at each end.
TRIMMED = 0.2

#: Seconds between two pairs, on average.
PAUSE = 0.015

#: Microseconds.
PLANTED = 200

#: Of the standard error: for a two-sided test at 5 %, and to find an effect in 80 % of the runs.
_TWO_SIDED, _POWER = 1.96, 0.84


def main() -> int:
    """Measure without a difference and with a planted one; fail unless that is found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reset_timing")
    parser.add_argument("--pairs", type=int, default=4000)
    parser.add_argument("--pause", type=float, default=PAUSE, help="seconds between two pairs")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = stack.enter_context(_mail_server(folder))
        site = _site(folder, port)
        plain = measure(site, pairs=arguments.pairs, pause=arguments.pause)
        faulty = site.using(
            JWT_AUTH_MAIL_DISPATCHER="benchmarks.planted.dispatch", **{VARIABLE: str(PLANTED)}
        )
        planted = measure(faulty, pairs=arguments.pairs, pause=arguments.pause)
    print(f"{'':24}{'known':>10}{'unknown':>10}{'difference (95 %)':>28}{'would find':>12}{'p':>8}")
    for name, result in (("as it is", plain), (f"{PLANTED} µs planted", planted)):
        print(f"{name:24}{result.row()}")
    return 0 if planted.finds_a_difference else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Microseconds: the medians of both kinds, and what the pairs say about their difference."""

    known: float
    unknown: float
    difference: float
    error: float
    p_value: float

    @property
    def finds_a_difference(self) -> bool:
        """Whether the confidence interval lies on one side of zero."""
        return abs(self.difference) > _TWO_SIDED * self.error

    def row(self) -> str:
        """Give a line of the table."""
        margin = _TWO_SIDED * self.error
        low, high = self.difference - margin, self.difference + margin
        between = f"{self.difference:+.1f} ({low:+.1f} to {high:+.1f})"
        smallest = (_TWO_SIDED + _POWER) * self.error
        return (
            f"{self.known:10.0f}{self.unknown:10.0f}{between:>28}{smallest:12.1f}"
            f"{self.p_value:8.3f}"
        )


def judge(known: Sequence[float], unknown: Sequence[float], *, seed: int = 0) -> Result:
    """Judge the paired times of both kinds of addresses."""
    differences = [mine - other for mine, other in zip(known, unknown, strict=True)]
    centre, error = trimmed_mean(differences)
    flips = random.Random(seed)
    rounds = 1000
    extreme = 0
    for _ in range(rounds):
        flipped = [each if flips.random() < 0.5 else -each for each in differences]
        extreme += abs(trimmed_mean(flipped)[0]) >= abs(centre)
    return Result(
        known=median(known),
        unknown=median(unknown),
        difference=centre,
        error=error,
        p_value=(extreme + 1) / (rounds + 1),
    )


def trimmed_mean(values: Sequence[float]) -> tuple[float, float]:
    """Give the trimmed mean and its standard error (Yuen 1974)."""
    ordered = sorted(values)
    cut = int(TRIMMED * len(ordered))
    kept = ordered[cut : len(ordered) - cut]
    winsorized = [kept[0]] * cut + kept + [kept[-1]] * cut
    return fmean(kept), stdev(winsorized) / ((1 - 2 * TRIMMED) * len(ordered) ** 0.5)


def measure(site: Site, *, pairs: int, pause: float) -> Result:
    """Send the pairs to a separate server. The first 200 only warm it up, and don't count."""
    times: dict[str, list[float]] = {KNOWN: [], "ghost": []}
    with site.serve() as server:
        client = HTTPConnection(str(urlsplit(server.address).netloc), timeout=60)
        gc.collect()
        gc.disable()
        for number in range(-200, pairs):
            # With the usual pause, the mails are sent meanwhile, and no queue of them builds up.
            time.sleep(random.uniform(0, 2 * pause))
            for kind in random.sample(sorted(times), 2):
                address = f"{kind}{random.randrange(len(ACCOUNTS)):03}@example.test"
                taken = _ask(client, address)
                if number >= 0:
                    times[kind].append(taken)
        gc.enable()
        client.close()
        mails = (site.folder / "smtp.log").read_text(errors="replace").count("MESSAGE FOLLOWS")
        print(f"{mails} mails have arrived so far.", file=sys.stderr)
    return judge(times[KNOWN], times["ghost"])


def _ask(client: HTTPConnection, address: str) -> float:
    """Ask for a reset; give the microseconds until the answer has arrived."""
    body = json.dumps({"email": address})
    begin = perf_counter_ns()
    client.request("POST", "/api/auth/password/reset/", body, {"Content-Type": "application/json"})
    response = client.getresponse()
    response.read()
    taken = (perf_counter_ns() - begin) / 1000
    if response.status != 202:
        raise RuntimeError(f"password/reset/ answered {response.status}.")
    return taken


def _site(folder: Path, port: int) -> Site:
    # The throttles count each request, but refuse none.
    scopes = ("password_reset", "password_reset_address", "mailbox")
    rates = dict.fromkeys(scopes, "1000000/hour")
    site = Site.create(folder, f"sqlite:///{folder / 'db.sqlite3'}", *ACCOUNTS).using(
        LOG_LEVEL="CRITICAL",
        JWT_AUTH_THROTTLE_RATES=json.dumps(rates),
        JWT_AUTH_PASSWORD_RESET_URL="https://app.example.test/reset#token={token}",
        DJANGO_SETTINGS_MODULE="benchmarks.mail_settings",
        BENCH_MAIL_PORT=str(port),
    )
    # One worker, so that both kinds of requests go to the same process.
    return replace(site, workers=1, threads=2, has_tls=False)


@contextmanager
def _mail_server(folder: Path) -> Iterator[int]:
    """Run an SMTP server that takes every mail and forgets it; give its port."""
    port = free_port()
    command = [sys.executable, "-m", "aiosmtpd", "-n", "-l", f"127.0.0.1:{port}"]
    command += ["-c", "aiosmtpd.handlers.Debugging", "stdout"]
    with (folder / "smtp.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_until(lambda: _answers(port), "the SMTP server is up")
        yield port
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.connect()
    except OSError:
        return False
    connection.close()
    return True


if __name__ == "__main__":
    sys.exit(main())
