"""Measure what the key ring adds to a request: many keys, a hanging load, a store that is down."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

from django.test.utils import override_settings

from benchmarks import settings
from benchmarks.contenders import Round, requests_with_one_token
from benchmarks.wsgi_client import Client
from jwt_auth.keys import jwk
from jwt_auth.keys.ring import KeyRing, RingKey
from jwt_auth.keys.stores.file import FileKeyStore
from jwt_auth.keys.stores.vault import VaultKeyStore

#: The number of keys in a ring from which expired keys have never been dropped.
MANY = 20

#: The shortest reload interval; a load begins at half of it.
_INTERVAL = timedelta(seconds=1)

#: Requests after a pause that are not measured.
_WARMING = 10


class HangingStore(FileKeyStore):
    """Return the ring once; each later load hangs until `let_go` is set."""

    let_go = Event()
    hanging = Event()
    _has_given = False

    def stamp(self) -> object | None:
        """Say nothing, as remote stores do."""
        return None

    def load(self) -> KeyRing:
        """Return the ring, or hang."""
        if self._has_given:
            self.hanging.set()
            self.let_go.wait()
        self._has_given = True
        return super().load()


class DownStore(FileKeyStore):
    """Return the ring once; after that, ask a Vault at an address where no server answers."""

    trying = Event()
    _has_given = False

    def __init__(self, PATH: str) -> None:  # noqa: N803  the name of the option
        super().__init__(PATH)
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        self._vault = VaultKeyStore(PATH="keys", URL=f"http://127.0.0.1:{port}", TOKEN="none")

    def stamp(self) -> object | None:
        """Say nothing, as remote stores do."""
        return None

    def load(self) -> KeyRing:
        """Return the ring, or fail like a Vault that is down: after its retries."""
        if self._has_given:
            self.trying.set()
            return self._vault.load()
        self._has_given = True
        return super().load()


def requests_by_ring(client: Client, user: Any) -> Mapping[str, Round]:
    """The same requests with a ring of one key, with many keys, and with each failing store."""
    ours = requests_with_one_token(client, user)
    many = f"{settings.KEYS}-many"
    _save_many(many)
    return {
        "ours": _measured(ours, _using("benchmarks.keys.FileKeyStore", settings.KEYS)),
        "ours_20_keys": _measured(ours, _using("benchmarks.keys.FileKeyStore", many)),
        "ours_reloading": _measured(
            ours, _using("benchmarks.keys.HangingStore", settings.KEYS), HangingStore.hanging
        ),
        "ours_store_down": _measured(
            ours, _using("benchmarks.keys.DownStore", settings.KEYS), DownStore.trying
        ),
    }


def _using(backend: str, path: str) -> Callable[[], AbstractContextManager[Any]]:
    store = {"BACKEND": backend, "OPTIONS": {"PATH": path}}
    return lambda: override_settings(
        JWT_AUTH_KEY_STORE=store, JWT_AUTH_KEY_RELOAD_INTERVAL=_INTERVAL
    )


def _measured(
    run: Round,
    settings_of: Callable[[], AbstractContextManager[Any]],
    under_way: Event | None = None,
) -> Round:
    def measured(number: int) -> float:
        HangingStore.let_go.clear()
        with settings_of():
            try:
                run(1)  # the first load is not measured
                _begin(run, under_way)
                return run(number)
            finally:
                HangingStore.let_go.set()

    return measured


def _begin(run: Round, under_way: Event | None) -> None:
    """Let a load begin.

    With a store that hangs or is down, the load is under way while the requests are measured. The
    other contenders pause as long, so that their caches are equally cold.
    """
    if under_way is not None:
        under_way.clear()
    time.sleep(0.6 * _INTERVAL.total_seconds())
    run(_WARMING)
    if under_way is not None and not under_way.wait(5):
        raise RuntimeError("No load of the key ring has begun within 5 seconds.")


def _save_many(path: str) -> None:
    """Save a ring of many keys, whose signing key is the key of the original ring."""
    (signing,) = FileKeyStore(settings.KEYS).load().keys
    now = datetime.now(UTC)
    former = [
        replace(
            _new_key(),
            activates_at=signing.activates_at - timedelta(days=number),
            expires_at=now + timedelta(days=1),
        )
        for number in range(1, MANY)
    ]
    if not (Path(path) / "ring.json").exists():
        FileKeyStore(path).save(KeyRing(version=1, keys=(*former, signing)), expected_version=None)


def _new_key() -> RingKey:
    material = jwk.generate("ES256")
    now = datetime.now(UTC)
    return RingKey(
        kid=material["kid"], algorithm="ES256", jwk=material, created_at=now, activates_at=now
    )
