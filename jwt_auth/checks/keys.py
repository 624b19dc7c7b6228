"""The keys: whether there is one to sign with, and whether the store keeps others out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic, sleep
from typing import Any, Final

from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured

from jwt_auth.check_messages import error, warning
from jwt_auth.conf import conf
from jwt_auth.exceptions import (
    InvalidKey,
    KeyFailure,
    KeySignerError,
    KeyStoreError,
    KeyStoreExposed,
    KeyStoreUnavailable,
)
from jwt_auth.keys import cache
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.signers.base import get_signer_of, prepare_ring_key
from jwt_auth.keys.stores.base import get_key_store, load_ring
from jwt_auth.startup import MIGRATIONS, this_process

logger: Final = logging.getLogger("jwt_auth")

#: Seconds that a start waits for a store that does not answer, and seconds between two attempts.
START_PATIENCE: Final = 60.0
_PAUSE: Final = 2.0

#: A new project migrates before it makes keys, and its tests may have keys in memory.
_WITHOUT_KEYS: Final = MIGRATIONS | {"test"}

_AS_THE_SERVER: Final = "Do what the message says, as the user that the server runs as."
_HINTS: Final = {
    InvalidKey: "Run `manage.py rotate_keys --compromised KID` with the kid of that key, which "
    "`manage.py list_keys` shows.",
    KeySignerError: "Restore the JWT_AUTH_KEY_SIGNER that this key was made with, or run "
    "`manage.py rotate_keys --now` for a key in the ring.",
    KeyStoreExposed: "Do what the message says. Keys that other users can read are not used.",
    KeyStoreError: "The user that the server runs as must be able to read JWT_AUTH_KEY_STORE.",
    KeyStoreUnavailable: "Check that the store of JWT_AUTH_KEY_STORE is up and can be reached.",
}
_AT_THE_ISSUER: Final = (
    "Check that JWT_AUTH_JWKS_URL is the issuer's key set and can be reached from here."
)


def find_key_problem() -> CheckMessage | None:
    """Say why no token can be signed now, or give ``None``."""
    return _problem(_find_failure(_load))


def find_start_problem() -> CheckMessage | None:
    """The same for a server that starts: it keeps the loaded ring for its first request, and waits
    up to a minute for a store that does not answer.

    Gunicorn stops the whole server when one worker fails to boot. Without the wait, a worker that
    is replaced during an outage of the store would have that effect.

    A service that only verifies starts in any case, and answers 503 to requests with a token until
    it has the keys. An outage of the issuer must not stop other services.
    """
    if conf.jwks_url is not None:
        if (failure := _find_failure(cache.get_ring)) is not None:
            logger.error("The server starts without the issuer's keys: %s", failure)
        return None
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
    if ring.is_verify_only:
        return  # each key was tried when it was read, and none has to sign
    signer = ring.signing_key(datetime.now(UTC)).signer
    if signer is not None:
        get_signer_of(signer)  # asks nothing of it: while it is down, a server can still verify
    for key in ring.keys:
        prepare_ring_key(key)  # a key that can't be used makes every request fail


def _find_failure(load: Callable[[], KeyRing]) -> KeyFailure | None:
    try:
        _judge(load())
    except ImproperlyConfigured:
        pass  # a wrong setting, which its own check reports
    except KeyFailure as failure:
        return failure
    return None


def _problem(failure: KeyFailure | None) -> CheckMessage | None:
    return None if failure is None else error("E030", str(failure), _hint(failure))


def _hint(failure: KeyFailure) -> str:
    if conf.jwks_url is not None:
        return _AT_THE_ISSUER
    return _HINTS.get(type(failure), _AS_THE_SERVER)


def check_keys(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Warn only, because other commands and a build without secrets may need no keys.

    Another service isn't asked for its keys by every command.
    """
    if this_process().command in _WITHOUT_KEYS or conf.jwks_url is not None:
        return []
    failure = _find_failure(_load)
    return [] if failure is None else [warning("W030", str(failure), _hint(failure))]
