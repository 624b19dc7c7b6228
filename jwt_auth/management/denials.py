"""Write pending denials to Redis before a command that revokes ends its process."""

from __future__ import annotations

from typing import Final

from django.core.management.base import CommandError

from jwt_auth.conf import conf
from jwt_auth.revocation.base import get_backend

#: Seconds that a command waits for an unreachable revocation backend to come back.
PATIENCE: Final = 5.0


def write_pending_denials() -> None:
    """Have the backend write the denials that it holds in memory.

    They would be lost when this process ends.

    Raises:
        CommandError: the backend couldn't be reached; the text says for how long running servers
            may still accept the tokens.
    """
    if not get_backend().flush(PATIENCE):
        minutes = conf.access_token_lifetime.total_seconds() / 60
        raise CommandError(
            "The revocation is in the database, but could not be written to Redis within"
            f" {PATIENCE:g} seconds: running servers may accept the access tokens until they"
            f" expire, in {minutes:g} minutes at the latest. To end that sooner, run"
            " `manage.py revoke_tokens --all` (or `--user`) once Redis is up."
        )
