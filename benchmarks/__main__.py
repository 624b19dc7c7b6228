"""Measure, print, and write `results.json`; the exit code is 1 if a bound is missed.

    python -m benchmarks [--rounds N] [--user-model M] [--profile simplejwt|ours|refresh]

Each user model is measured in a separate process, because a Django process can have only one.

PostgreSQL is found as in the tests: by `DATABASE_URL`, otherwise at the usual local address.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django

from tests.servers import POSTGRESQL, Found, find_database

RESULTS = Path(__file__).parent / "results.json"
PROFILES = ("simplejwt", "ours", "refresh")
USER_MODELS = ("accounts.User", "auth.User")


def main() -> int:
    """Measure one user model in this process, or each one in a child process."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument(
        "--user-model", choices=USER_MODELS, help="measure only this one; save nothing"
    )
    parser.add_argument("--profile", choices=PROFILES, help="print a profile instead of measuring")
    parser.add_argument("--to", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.user_model or arguments.profile:
        return measure(arguments)
    return measure_all(arguments.rounds)


def measure_all(rounds: int) -> int:
    """Measure every user model and save the figures."""
    results: dict[str, Any] = {}
    codes = []
    for user_model in USER_MODELS:
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            command = [sys.executable, "-m", "benchmarks", "--rounds", str(rounds)]
            command += ["--user-model", user_model, "--to", file.name]
            codes.append(subprocess.run(command, check=False).returncode)
            text = Path(file.name).read_text()
        if not text:
            return 1  # the child process has printed the reason
        results[user_model] = json.loads(text)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    return max(codes)


def measure(arguments: argparse.Namespace) -> int:
    """Configure Django for a scratch database, then measure with it."""
    found = find_database(POSTGRESQL)
    if not isinstance(found, Found):
        print(f"There is no PostgreSQL ({found.reason}): {found.hint}.", file=sys.stderr)
        return 1
    scratch = f"/bench_jwt_auth_{os.getpid()}"
    os.environ["DATABASE_URL"] = urlsplit(found.url)._replace(path=scratch).geturl()
    os.environ["BENCH_USER_MODEL"] = arguments.user_model or USER_MODELS[0]
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    django.setup()

    from benchmarks import run  # only now: its models need the settings

    with run.scratch_site() as user:
        if arguments.profile:
            run.profile(arguments.profile, user)
            return 0
        return 0 if run.measure(user, rounds=arguments.rounds, to=arguments.to) else 1


if __name__ == "__main__":
    sys.exit(main())
