"""Whether there are keys to sign with, and in good keeping."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from django.core.checks import CheckMessage, Error, Warning  # noqa: A004  the framework's own name
from django.core.exceptions import ImproperlyConfigured

from jwt_auth.conf import conf
from jwt_auth.exceptions import InvalidKey, KeyFailure, KeyRingTorn, KeyStoreError
from jwt_auth.keys import jwk
from jwt_auth.keys.stores.base import get_key_store

_COMMAND: Final = "Run the command that is named there as the user that the server runs as."
_HINTS: Final = {
    InvalidKey: "Run `manage.py rotate_keys --compromised KID` with the kid of that key, which "
    "`manage.py list_keys` shows.",
    KeyRingTorn: "Restore the key ring from a backup. Where there is none, move it away and run "
    "`manage.py generate_keys`: every access token from before is refused then.",
    KeyStoreError: "Let the user that the server runs as reach and read JWT_AUTH_KEY_STORE.",
}


def find_key_problem() -> CheckMessage | None:
    """Say why no token could be signed now, or nothing."""
    if conf.jwks_url is not None:
        return None
    try:
        ring = get_key_store().load()
        ring.signing_key(datetime.now(UTC))
        for key in ring.keys:
            jwk.signing_key(key.jwk)  # one that can't be used has every request fail
    except ImproperlyConfigured:
        return None  # a wrong setting, which the settings' own check names
    except KeyFailure as failure:
        return Error(
            str(failure),
            hint=_HINTS.get(type(failure), _COMMAND),
            id="jwt_auth.E030",
        )
    return None


def check_keys(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Warn only: ``migrate``, ``generate_keys`` and a build without secrets must run before there
    are keys.
    """
    problem = find_key_problem()
    if problem is None:
        return []
    return [Warning(problem.msg, hint=problem.hint, id="jwt_auth.W030")]
