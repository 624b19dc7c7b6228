"""What the commands that revoke do before they end."""

from __future__ import annotations

from typing import Final

from django.core.management.base import CommandError

from jwt_auth.conf import conf
from jwt_auth.revocation.base import get_backend

#: Seconds for a revocation backend that is away to come back.
PATIENCE: Final = 5.0


def write_kept_denials() -> None:
    """Have the backend write what it has kept: that would die with this process.

    Raises:
        CommandError: it can't, and for how long the tokens may still be accepted.
    """
    if not get_backend().flush(PATIENCE):
        minutes = conf.access_token_lifetime.total_seconds() / 60
        raise CommandError(
            f"The database has it, but Redis could not be told within {PATIENCE:g} seconds:"
            " running servers may accept the access tokens until they expire, in"
            f" {minutes:g} minutes at the latest. To end that sooner, run `manage.py revoke_tokens"
            " --all` (or `--user`) once Redis is up."
        )
