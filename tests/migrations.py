"""Ask for every user model whether a migration is missing: `python -m tests.migrations`.

A process each, because AUTH_USER_MODEL can't change in a running one, and what a migration
depends on changes with it.
"""

import os
import subprocess
import sys

from tests.jobs import USER_MODELS

COMMAND = [
    *(sys.executable, "-m", "django", "makemigrations", "--check", "--dry-run"),
    # They have tests of their own, and would say here that the tests turn throttles off.
    "--skip-checks",
]


def main() -> int:
    """Return 0 where no migration is missing."""
    results = [_check(user_model) for user_model in USER_MODELS]
    return 0 if all(results) else 1


def _check(user_model: str) -> bool:
    print(f"{user_model}: ", end="", flush=True)
    environment = {
        **os.environ,
        # Not the demo's, which has another user model's tables.
        "DATABASE_URL": "sqlite://:memory:",
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "TEST_USER_MODEL": user_model,
    }
    return subprocess.run(COMMAND, env=environment, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
