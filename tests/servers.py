"""Find the databases that the tests can use on this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

POSTGRESQL = "PostgreSQL"
MARIADB = "MariaDB"
SQLITE = "SQLite"
DATABASES = (SQLITE, POSTGRESQL, MARIADB)

_SCHEMES = {
    "postgres": POSTGRESQL,
    "postgresql": POSTGRESQL,
    "mysql": MARIADB,
}
_LOCAL = {
    POSTGRESQL: ("postgres://root@127.0.0.1:5432/test", "postgres://postgres@127.0.0.1:5432/test"),
    MARIADB: ("mysql://root@127.0.0.1:3306/test",),
}
_SECONDS = 3

_START = "start one on this machine, or set DATABASE_URL={url} to a user who may create databases"
_HINTS = {
    POSTGRESQL: _START.format(url="postgres://user:password@host:5432/test"),
    MARIADB: _START.format(url="mysql://user:password@host:3306/test"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A server that answers."""

    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """No such server: why, and what to do about it."""

    reason: str
    hint: str


def find_database(kind: str) -> Found | Missing:
    """Look where DATABASE_URL says if it is of this kind, else at the usual local address."""
    if kind == SQLITE:
        return Found(url="")  # the settings' default
    configured = os.environ.get("DATABASE_URL", "")
    if _SCHEMES.get(urlsplit(configured).scheme) == kind:
        urls: tuple[str, ...] = (configured,)
    else:
        urls = _LOCAL[kind]
    reason = ""
    for url in urls:
        try:
            _connect(kind, url)
        except ImportError as error:
            return _missing_driver(kind, error)
        except Exception as error:  # noqa: BLE001  # each driver has its own tree of errors
            reason = f"{_without_password(url)} doesn't answer: {_first_line(error)}"
        else:
            return Found(url=url)
    return Missing(reason=reason, hint=_HINTS[kind])


def _connect(kind: str, url: str) -> None:
    parts = urlsplit(url)
    host, user = parts.hostname or "127.0.0.1", unquote(parts.username or "")
    password = unquote(parts.password or "")
    # Not to the database that the URL names: tests make their own, and it need not be there.
    if kind == POSTGRESQL:
        import psycopg

        psycopg.connect(
            host=host,
            port=parts.port or 5432,
            user=user,
            password=password,
            dbname="postgres",
            connect_timeout=_SECONDS,
        ).close()
    else:
        import MySQLdb

        MySQLdb.connect(
            host=host,
            port=parts.port or 3306,
            user=user,
            password=password,
            connect_timeout=_SECONDS,
        ).close()


def _missing_driver(kind: str, error: ImportError) -> Missing:
    hint = "run `rm -r .venv`, then `make test`"
    if kind == MARIADB:
        hint = (
            "install what mysqlclient is built with (Debian: apt install gcc pkg-config "
            "python3-dev libmariadb-dev), then " + hint
        )
    return Missing(reason=f"its Python driver isn't installed ({_first_line(error)})", hint=hint)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return url.replace(f":{parts.password}@", ":***@", 1)
