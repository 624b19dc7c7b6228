"""A key store's database as the contract needs it."""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections
from django.test import override_settings

from jwt_auth.keys.stores.database import DatabaseKeyStore
from jwt_auth.models import StoredKeyRing
from tests.keys.contract import Storage

VARIABLE = "JWT_AUTH_KEY_ENCRYPTION_KEYS"


def new_kek() -> str:
    return base64.b64encode(os.urandom(32)).decode()


class KeyRingRouter:
    """Has key rings in a database of their own."""

    def __init__(self, alias: str) -> None:
        self.alias = alias

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        return self.alias if model is StoredKeyRing else None


class DatabaseStorage(Storage):
    """The row's own database."""

    outage = "(?i)unable to open|connect"

    def __init__(self, *secrets: str) -> None:
        self.secrets = secrets

    def open(self) -> DatabaseKeyStore:
        return DatabaseKeyStore()

    def put(self, content: bytes) -> None:
        StoredKeyRing.objects.update_or_create(
            pk=1, defaults={"document": content.decode("latin-1")}, create_defaults={"version": 1}
        )

    def empty(self) -> None:
        StoredKeyRing.objects.all().delete()

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Have the table in a database that nobody answers for."""
        with another_database("gone", closed=True):
            yield

    def end_thread(self) -> None:
        connections.close_all()


@contextmanager
def another_database(alias: str, *, closed: bool) -> Iterator[None]:
    """Add a database for the key rings: a closed port, or another connection to the tests' own."""
    config = {**connections.databases["default"]}
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))  # and does not listen
        if closed:
            is_file = config["ENGINE"] == "django.db.backends.sqlite3"
            port = str(listener.getsockname()[1])
            away = (
                {"NAME": "/nowhere/db.sqlite3"} if is_file else {"HOST": "127.0.0.1", "PORT": port}
            )
            config |= away
        connections.databases[alias] = config
        _allow(connections[alias])
        try:
            with override_settings(DATABASE_ROUTERS=[KeyRingRouter(alias)]):
                yield
        finally:
            connections[alias].close()
            del connections[alias]
            del connections.databases[alias]


def _allow(connection: Any) -> None:
    """Django's tests let nobody connect to what was not there when they began."""

    def ensure_connection() -> None:
        if connection.connection is None:
            with connection.wrap_database_errors:
                connection.connect()

    connection.ensure_connection = ensure_connection
