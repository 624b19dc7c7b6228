"""Measure, print, write `results.json`; exit code 1 where a bound is missed.

    python -m benchmarks [--rounds N] [--profile simplejwt|ours|refresh]

PostgreSQL is looked for as the tests do it: `DATABASE_URL`, else the usual local address.
"""

from __future__ import annotations

import argparse
import os
import sys
from urllib.parse import urlsplit

import django

from tests.servers import POSTGRESQL, Found, find_database

PROFILES = ("simplejwt", "ours", "refresh")


def main() -> int:
    """Prepare Django for a scratch database, then run in it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--profile", choices=PROFILES, help="say where the time goes, and stop")
    arguments = parser.parse_args()
    found = find_database(POSTGRESQL)
    if not isinstance(found, Found):
        print(f"There is no PostgreSQL ({found.reason}): {found.hint}.", file=sys.stderr)
        return 1
    scratch = f"/bench_jwt_auth_{os.getpid()}"
    os.environ["DATABASE_URL"] = urlsplit(found.url)._replace(path=scratch).geturl()
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    django.setup()

    from benchmarks import run  # its models need the settings

    with run.scratch_site() as user:
        if arguments.profile:
            run.profile(arguments.profile, user)
            return 0
        return 0 if run.measure(user, rounds=arguments.rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
