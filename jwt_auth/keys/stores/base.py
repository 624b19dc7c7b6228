"""The contract of a key store, and the store that the settings name.

A store loads and saves the ring's document and knows nothing of keys. A command that changes the
ring loads it, computes the next one and saves that with the version that it started from. If two
commands do so at the same time, one of them wins and the other is told.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Final, TypeVar

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

T = TypeVar("T")

#: The advice about a document that can't be read, in a store that can be written.
MAKE_ANEW: Final = (
    "Restore it from a backup, or move it away and run `manage.py generate_keys`:"
    " sessions go on, access tokens from before do not."
)


class KeyStore(ABC):
    """Keeps one key ring. ``OPTIONS`` are the constructor's keyword arguments."""

    @abstractmethod
    def load(self) -> KeyRing:
        """Read the ring.

        The store bounds the time of a load by time-outs on connections, answers and the source of
        its credential, all attempts together, because a request may wait for it.

        Raises:
            KeyRingMissing: the store has none.
            KeyRingTorn: what is stored is not a ring.
            KeyStoreExposed: others can read it.
            KeyStoreError: the store can't be reached or read.
        """

    @abstractmethod
    def save(self, ring: KeyRing, *, expected_version: int | None) -> None:
        """Store the ring in place of the one with ``expected_version``, atomically.

        ``None`` stands for no ring.

        Raises:
            KeyRingExists: there is a ring where none was expected.
            KeyRingConflict: the stored ring has another version, or is gone.
            KeyStoreReadOnly: the store is read-only.
            KeyStoreError: the store can't be reached or written, or is not fit for private keys.
        """

    def exclusive(self) -> AbstractContextManager[None]:
        """Hold the lock that :meth:`save` waits for, if the store has one. No other process can
        save until the end of the ``with`` block.

        Raises:
            KeyStoreUnavailable: another process holds the lock for too long; the text says which.
            KeyStoreError: as :meth:`save`.
        """
        return nullcontext()

    @abstractmethod
    def describe(self) -> str:
        """The store's path or address, for messages and events. It holds no secret."""

    def stamp(self) -> object | None:
        """A value that is cheap to get and changes with the stored ring; ``None`` if the store has
        no such value.

        Never raises: a request with an unknown kid asks for it.
        """
        return None

    def check(self) -> list[CheckMessage]:
        """Say what is wrong or unwise in the options, without access to the storage."""
        return []

    def check_server(self) -> list[CheckMessage]:
        """Say what is unwise in the storage or its content (``manage.py check --deploy``)."""
        return []


def read_document(document: bytes | str, where: str, *, remedy: str = MAKE_ANEW) -> KeyRing:
    """Read a ring's document that a store has loaded from ``where``.

    Raises:
        KeyRingTorn: the document is not a ring; the text says where it lies and what to do.
        KeyRingTooNew: the ring is intact, but written by a newer version of the package.
    """
    with located(where, remedy=remedy):
        try:
            text = document if isinstance(document, str) else document.decode()
        except UnicodeDecodeError:
            raise KeyRingTorn("The key ring is not a JSON document.") from None
        return KeyRing.from_json(text)


@contextmanager
def located(where: str, *, remedy: str = MAKE_ANEW) -> Iterator[None]:
    """Add to the errors of a document where it lies, and to those of a torn one what to do."""
    try:
        yield
    except KeyRingTooNew as too_new:
        raise KeyRingTooNew(f"{where}: {too_new}") from None
    except KeyRingTorn as error:
        raise torn(where, str(error), remedy=remedy) from None


def torn(where: str, fault: str, *, remedy: str = MAKE_ANEW) -> KeyRingTorn:
    """The error for a document that is not a ring: where it lies, what is wrong, what to do."""
    return KeyRingTorn(f"{where}: {fault} {remedy}")


def load_ring(store: KeyStore, *, known: KeyRing | None = None) -> KeyRing:
    """Load from the store, and send an event: every access to private keys is one.

    The event says ``routine`` if the ring is the ``known`` one.
    """
    # A missing ring is not reported before there is one to know: nothing was read.
    ring = _ask(store, "load", store.load, expected=KeyRingMissing if known is None else None)
    send_event("loaded", store, kids=_kids(ring), routine=ring == known)
    return ring


def save_ring(store: KeyStore, ring: KeyRing, *, expected_version: int | None) -> None:
    """Save to the store, and send an event."""
    _ask(store, "save", lambda: store.save(ring, expected_version=expected_version))
    send_event("saved", store, kids=_kids(ring))


@contextmanager
def exclusive(store: KeyStore) -> Iterator[None]:
    """Hold the store's lock, if it has one. A lock that can't be had is an event."""
    with ExitStack() as held:
        _ask(store, "save", lambda: held.enter_context(store.exclusive()))
        yield


def _ask(
    store: KeyStore,
    operation: str,
    call: Callable[[], T],
    *,
    expected: type[KeyFailure] | None = None,
) -> T:
    """Call the store. An error is sent as an event, unless ``expected``, and raised anew.

    Errors of this package are raised anew with their text. The text of any other error may quote a
    key or a credential, so only its class is told.
    """
    try:
        return call()
    except Exception as error:  # noqa: BLE001  a store's client may raise anything
        if isinstance(error, KeyFailure):
            failure, reason = anew(error), error.code
        else:
            reason = type(error).__name__
            failure = KeyStoreError(f"{store.describe()} has failed: {reason}.")
    # Not in the block above: the event's receivers and the new error would have the store's error,
    # with its frames, in their context.
    if expected is None or not isinstance(failure, expected):
        send_event("refused", store, operation=operation, reason=reason)
    raise failure


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
    """Send :data:`jwt_auth.signals.key_event`, with the process that the event is from."""
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
        ImproperlyConfigured: the store does not exist, or does not accept its options.
    """
    return _setting.get_instance(conf.key_store)
