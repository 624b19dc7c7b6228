"""The contract of a key store, and the one that the settings name.

A store loads and saves the ring's document and knows nothing of keys. Whoever changes the ring
loads it, computes the next one and saves that with the version it started from: of two who do so at
once, one wins.
"""

from __future__ import annotations

import copy
import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from jwt_auth import signals
from jwt_auth.conf import conf
from jwt_auth.exceptions import KeyFailure, KeyRingMissing
from jwt_auth.keys.ring import KeyRing


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
            KeyStoreError: the store can't be reached or written, or is not fit for private keys.
        """

    @abstractmethod
    def describe(self) -> str:
        """The store's path or address, for messages and events; no secret."""

    def stamp(self) -> object | None:
        """Something cheap that changes whenever the stored ring does; ``None``: no such thing."""
        return None


def load_ring(store: KeyStore) -> KeyRing:
    """Load from the store, and tell so: every access to private keys is an event."""
    try:
        ring = store.load()
    except KeyRingMissing:
        raise  # nothing was read, as before the first key is made
    except KeyFailure:
        send_event("refused", store)
        raise
    send_event("loaded", store)
    return ring


def save_ring(store: KeyStore, ring: KeyRing, *, expected_version: int | None) -> None:
    """Save to the store, and tell so."""
    store.save(ring, expected_version=expected_version)
    send_event("saved", store)


def send_event(event: str, store: KeyStore, kid: str | None = None) -> None:
    signals.key_event.send_robust(sender=KeyStore, event=event, kid=kid, store=store.describe())


_built: tuple[dict[str, Any], KeyStore] | None = None


def get_key_store() -> KeyStore:
    """The store that ``JWT_AUTH_KEY_STORE`` names, built once for each value of the setting.

    Raises:
        ImproperlyConfigured: no such backend, or options that it does not take. Only names are
            quoted: an option may hold a store's credential.
    """
    global _built  # noqa: PLW0603
    config = conf.key_store
    built = _built
    if built is None or built[0] != config:
        built = _built = (copy.deepcopy(config), _build(config))
    return built[1]


def _build(config: object) -> KeyStore:
    if not isinstance(config, Mapping) or not {"BACKEND"} <= config.keys() <= {
        "BACKEND",
        "OPTIONS",
    }:
        raise ImproperlyConfigured("JWT_AUTH_KEY_STORE must be a dict of BACKEND and OPTIONS.")
    try:
        backend = import_string(config["BACKEND"])
    except ImportError as error:
        raise ImproperlyConfigured(f"JWT_AUTH_KEY_STORE: {error}") from error
    except AttributeError:
        message = "JWT_AUTH_KEY_STORE: BACKEND is not a dotted path."
        raise ImproperlyConfigured(message) from None
    if not isinstance(backend, type) or not issubclass(backend, KeyStore):
        raise ImproperlyConfigured("JWT_AUTH_KEY_STORE: BACKEND is not a subclass of KeyStore.")
    options = config.get("OPTIONS", {})
    try:
        inspect.signature(backend).bind(**options)
    except TypeError as error:
        message = f"JWT_AUTH_KEY_STORE: the OPTIONS of {backend.__name__} are wrong: {error}."
        raise ImproperlyConfigured(message) from None
    try:
        return backend(**options)
    except (TypeError, ValueError):  # most often None, from a variable that is not set
        message = f"JWT_AUTH_KEY_STORE: {backend.__name__} can't work with a value of its OPTIONS."
        raise ImproperlyConfigured(message) from None
