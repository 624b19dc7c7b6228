"""The contract of a key store, and the one that the settings name.

A store loads and saves the ring's document and knows nothing of keys. Whoever changes the ring
loads it, computes the next one and saves that with the version it started from: of two who do so at
once, one wins.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Final

from django.core.checks import CheckMessage

from jwt_auth import signals
from jwt_auth.backend_settings import BackendSetting
from jwt_auth.conf import conf
from jwt_auth.exceptions import (
    KeyFailure,
    KeyRingMissing,
    KeyRingTooNew,
    KeyRingTorn,
    KeyStoreError,
)
from jwt_auth.forks import after_fork_in_child
from jwt_auth.keys.redaction import anew
from jwt_auth.keys.ring import KeyRing
from jwt_auth.startup import this_process

#: What to do about a document that can't be read, in a store that can be written.
MAKE_ANEW: Final = (
    "Restore it from a backup, or move it away and run `manage.py generate_keys`:"
    " sessions go on, access tokens from before do not."
)


class KeyStore(ABC):
    """Where one key ring is kept. ``OPTIONS`` are the constructor's keyword arguments."""

    @abstractmethod
    def load(self) -> KeyRing:
        """Read the ring.

        Raises:
            KeyRingMissing: there is none.
            KeyRingTorn: what is stored is not a ring.
            KeyStoreExposed: others can read it.
            KeyStoreError: the store can't be reached or read.
        """

    @abstractmethod
    def save(self, ring: KeyRing, *, expected_version: int | None) -> None:
        """Store the ring in place of the one with ``expected_version``, in one step.

        ``None`` stands for no ring.

        Raises:
            KeyRingExists: there is a ring where none was expected.
            KeyRingConflict: the stored ring has another version, or is gone.
            KeyStoreReadOnly: the store is for reading only.
            KeyStoreError: the store can't be reached or written, or is not fit for private keys.
        """

    def exclusive(self) -> AbstractContextManager[None]:
        """Keep others from saving between what is done in it and a save at its end, where the store
        has a lock that it would wait for in :meth:`save`.

        Raises:
            KeyStoreUnavailable: somebody else has held the lock for too long; the text says who.
            KeyStoreError: as :meth:`save`.
        """
        return nullcontext()

    @abstractmethod
    def describe(self) -> str:
        """The store's path or address, for messages and events; no secret."""

    def stamp(self) -> object | None:
        """Something cheap that changes whenever the stored ring does; ``None``: no such thing.

        Never raises: a request with an unknown kid asks for it.
        """
        return None

    def check(self) -> list[CheckMessage]:
        """What is wrong or unwise in the options, without reaching for the storage."""
        return []

    def check_server(self) -> list[CheckMessage]:
        """What is unwise in what the storage holds or runs on (``manage.py check --deploy``)."""
        return []


def read_document(document: bytes | str, where: str, *, remedy: str = MAKE_ANEW) -> KeyRing:
    """Read a ring's document that a store has loaded from ``where``.

    Raises:
        KeyRingTorn: says where it lies and what to do; a ring that is too new is whole, and says
            so.
    """
    try:
        return KeyRing.from_json(document if isinstance(document, str) else document.decode())
    except UnicodeDecodeError:
        raise torn(where, "The key ring is not a JSON document.", remedy=remedy) from None
    except KeyRingTooNew as too_new:
        raise KeyRingTooNew(f"{where}: {too_new}") from None
    except KeyRingTorn as error:
        raise torn(where, str(error), remedy=remedy) from None


def torn(where: str, fault: str, *, remedy: str = MAKE_ANEW) -> KeyRingTorn:
    """The error for what is no ring, with its place and the way out."""
    return KeyRingTorn(f"{where}: {fault} {remedy}")


def load_ring(store: KeyStore, *, known: KeyRing | None = None) -> KeyRing:
    """Load from the store, and tell so: every access to private keys is an event.

    To find the ring that is ``known`` already is routine, and told as such.
    """
    try:
        ring = store.load()
    except Exception as error:  # noqa: BLE001  a store's client may raise anything
        failure, reason = _discreet(store, error), _reason(error)
    else:
        send_event("loaded", store, kids=_kids(ring), routine=ring == known)
        return ring
    if known is not None or not isinstance(failure, KeyRingMissing):
        # Else nothing was read, as before the first key is made.
        send_event("refused", store, operation="load", reason=reason)
    raise failure


def save_ring(store: KeyStore, ring: KeyRing, *, expected_version: int | None) -> None:
    """Save to the store, and tell so."""
    try:
        store.save(ring, expected_version=expected_version)
    except Exception as error:  # noqa: BLE001  a store's client may raise anything
        failure, reason = _discreet(store, error), _reason(error)
    else:
        send_event("saved", store, kids=_kids(ring))
        return
    send_event("refused", store, operation="save", reason=reason)
    raise failure


@contextmanager
def exclusive(store: KeyStore) -> Iterator[None]:
    """Hold the store's lock, if it has one, and tell so where it can't be had."""
    with ExitStack() as held:
        _hold(store, held)
        yield


def _hold(store: KeyStore, held: ExitStack) -> None:
    try:
        held.enter_context(store.exclusive())
    except Exception as error:  # noqa: BLE001  a store's client may raise anything
        failure, reason = _discreet(store, error), _reason(error)
    else:
        return
    send_event("refused", store, operation="save", reason=reason)
    raise failure


def _discreet(store: KeyStore, error: Exception) -> KeyFailure:
    """The error anew where it is ours; any other one may quote a key or a credential.

    Past the ``except`` block it is told and raised: there it, and what a receiver of the signal
    raises, would have the store's frames in its context.
    """
    if isinstance(error, KeyFailure):
        return anew(error)
    return KeyStoreError(f"{store.describe()} has failed: {type(error).__name__}.")


def _reason(error: Exception) -> str:
    return error.code if isinstance(error, KeyFailure) else type(error).__name__


def send_event(
    event: str,
    store: KeyStore,
    kid: str | None = None,
    *,
    kids: Sequence[str] = (),
    operation: str | None = None,
    reason: str | None = None,
    routine: bool = False,
) -> None:
    """Send :data:`jwt_auth.signals.key_event`, with the process that it happened in."""
    signals.key_event.send_robust(
        sender=KeyStore,
        event=event,
        kid=kid,
        kids=list(kids),
        store=store.describe(),
        operation=operation,
        reason=reason,
        routine=routine,
        process=this_process(),
    )


def _kids(ring: KeyRing) -> list[str]:
    return [key.kid for key in ring.keys]


_setting: Final = BackendSetting("JWT_AUTH_KEY_STORE", KeyStore)
# The parent's store may have open connections, which two processes can't share.
after_fork_in_child(_setting.forget_instance)


def get_key_store() -> KeyStore:
    """The store that ``JWT_AUTH_KEY_STORE`` names, built once for each value of the setting.

    Raises:
        ImproperlyConfigured: there is no such store, or it does not accept its options.
    """
    return _setting.get_instance(conf.key_store)
