"""A scratch database on the tests' server, and all that stands in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler
from pytest_django import DjangoDbBlocker

_numbers = count(1)


@contextmanager
def scratch_database(folder: Path, blocker: DjangoDbBlocker) -> Iterator[str]:
    """Make a database beside the tests' own, or a SQLite file in the folder; give its URL."""
    if settings.DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
        yield f"sqlite:///{folder / 'db.sqlite3'}"
        return
    server = os.environ["DATABASE_URL"]
    name = f"live_jwt_auth_{os.getpid()}_{next(_numbers)}"
    _execute_beside(server, f"CREATE DATABASE {name}", blocker)
    try:
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        # Processes that were killed may be connected still.
        is_postgresql = settings.DATABASES["default"]["ENGINE"].endswith("postgresql")
        force = " WITH (FORCE)" if is_postgresql else ""
        _execute_beside(server, f"DROP DATABASE {name}{force}", blocker)


def dump(url: str, blocker: DjangoDbBlocker) -> list[Any]:
    """Read every value of every column of every table, as whoever stole the database would."""
    values: list[Any] = []
    with _connected(url, blocker) as connection, connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            values += [value for row in cursor.fetchall() for value in row]
    return values


def run_sql(url: str, blocker: DjangoDbBlocker, *statements: str) -> None:
    """Run statements inside a database."""
    with _connected(url, blocker) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _execute_beside(server: str, statement: str, blocker: DjangoDbBlocker) -> None:
    """Run a statement that can't be run inside the database that it is about."""
    with _connected(server, blocker) as connection, connection._nodb_cursor() as cursor:
        cursor.execute(statement)


@contextmanager
def _connected(url: str, blocker: DjangoDbBlocker) -> Iterator[BaseDatabaseWrapper]:
    # A handler of its own: the process's `connections` are the other tests'.
    connection = ConnectionHandler({"default": dict(dj_database_url.parse(url))})["default"]
    with blocker.unblock():
        try:
            yield connection
        finally:
            connection.close()
