"""Whether there are keys to sign with, and in good keeping."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic, sleep
from typing import Any, Final

from django.core.checks import CheckMessage, Error, Warning  # noqa: A004  the framework's own name
from django.core.exceptions import ImproperlyConfigured

from jwt_auth.conf import conf
from jwt_auth.exceptions import (
    InvalidKey,
    KeyFailure,
    KeyRingTorn,
    KeySignerError,
    KeyStoreError,
    KeyStoreUnavailable,
)
from jwt_auth.keys import cache
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.signers.base import get_signer_of, prepare_ring_key
from jwt_auth.keys.stores.base import get_key_store, load_ring

logger: Final = logging.getLogger("jwt_auth")

#: Seconds that a start waits for a store that does not answer, and between two tries.
START_PATIENCE: Final = 60.0
_PAUSE: Final = 2.0

_COMMAND: Final = "Run the command that is named there as the user that the server runs as."
_HINTS: Final = {
    InvalidKey: "Run `manage.py rotate_keys --compromised KID` with the kid of that key, which "
    "`manage.py list_keys` shows.",
    KeySignerError: "Write JWT_AUTH_KEY_SIGNER as it was when that key was made, or run "
    "`manage.py rotate_keys --now` for a key in the ring.",
    KeyRingTorn: "Restore the key ring from a backup. Where there is none, move it away and run "
    "`manage.py generate_keys`: every access token from before is refused then.",
    KeyStoreError: "Let the user that the server runs as reach and read JWT_AUTH_KEY_STORE.",
    KeyStoreUnavailable: "See that the store of JWT_AUTH_KEY_STORE is up, and can be reached.",
}


def find_key_problem() -> CheckMessage | None:
    """Say why no token could be signed now, or nothing."""
    return _problem(_find_failure(_load))


def find_start_problem() -> CheckMessage | None:
    """The same for a server that starts: what is loaded stays for its first request, and a store
    that does not answer is given a minute.

    A worker that is replaced during an outage would else end the whole server: gunicorn stops when
    one fails to boot.
    """
    deadline, said = monotonic() + START_PATIENCE, ""
    while isinstance(failure := _find_failure(cache.get_ring), KeyStoreUnavailable):
        if monotonic() >= deadline:
            break
        if str(failure) != said:
            said = str(failure)
            logger.error("The start waits for the key store: %s", said)
        sleep(_PAUSE)
    return _problem(failure)


def _load() -> KeyRing:
    return load_ring(get_key_store())


def _judge(ring: KeyRing) -> None:
    signer = ring.signing_key(datetime.now(UTC)).signer
    if signer is not None:
        get_signer_of(signer)  # that it is set, not that it is up: what has started verifies
    for key in ring.keys:
        prepare_ring_key(key)  # one that can't be used has every request fail


def _find_failure(load: Callable[[], KeyRing]) -> KeyFailure | None:
    if conf.jwks_url is not None:
        return None
    try:
        _judge(load())
    except ImproperlyConfigured:
        pass  # a wrong setting, which the settings' own check names
    except KeyFailure as failure:
        return failure
    return None


def _problem(failure: KeyFailure | None) -> CheckMessage | None:
    if failure is None:
        return None
    hint = _HINTS.get(type(failure), _COMMAND)
    return Error(str(failure), hint=hint, id="jwt_auth.E030")


def check_keys(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Warn only: ``migrate``, ``generate_keys`` and a build without secrets must run before there
    are keys.
    """
    problem = find_key_problem()
    if problem is None:
        return []
    return [Warning(problem.msg, hint=problem.hint, id="jwt_auth.W030")]
