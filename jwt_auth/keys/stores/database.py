"""The key ring in the project's database, in one row, encrypted.

The key that it is encrypted under comes from the environment, so that neither a dump nor a backup
of the database signs anything. Everything goes to the write database: a replica may lag behind.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004  the framework's own name
from django.db import Error as DatabaseError
from django.db import (
    IntegrityError,
    OperationalError,
    ProgrammingError,
    connections,
    router,
    transaction,
)
from django.db.models import Model
from django.utils.encoding import force_bytes

from jwt_auth.exceptions import (
    InvalidKey,
    KeyFailure,
    KeyRingConflict,
    KeyRingExists,
    KeyRingMissing,
    KeyRingTooNew,
    KeyRingTorn,
    KeyStoreError,
    KeyStoreUnavailable,
)
from jwt_auth.keys.redaction import raised_anew
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores import encryption
from jwt_auth.keys.stores.base import KeyStore, read_document, torn
from jwt_auth.keys.stores.encryption import KeyEncryptionKey, UnknownKeyEncryptionKey

_VARIABLE: Final = "JWT_AUTH_KEY_ENCRYPTION_KEYS"

#: Seconds that a save waits for another transaction's lock on the row. A save takes some 10 ms.
_LOCK_SECONDS: Final = 5

#: The one row.
_ROW: Final = 1

_REMEDY: Final = (
    "Restore it from a backup, or delete the row and run `manage.py generate_keys`:"
    " sessions go on, access tokens from before do not."
)


class DatabaseKeyStore(KeyStore):
    """Keeps the ring in the table of :class:`jwt_auth.models.StoredKeyRing`.

    ``KEY_ENCRYPTION_KEYS_VARIABLE`` names the environment variable with the key-encryption keys:
    32 bytes each in base64, comma-separated. The first one encrypts, all decrypt.
    """

    def __init__(self, KEY_ENCRYPTION_KEYS_VARIABLE: str = _VARIABLE) -> None:  # noqa: N803
        self._variable = KEY_ENCRYPTION_KEYS_VARIABLE

    def describe(self) -> str:
        return f"the table {_model()._meta.db_table} of the database {self._database!r}"

    def load(self) -> KeyRing:
        keys = self._read_keys()
        version, document = self._read_row()
        try:
            text = encryption.unseal(document, keys)
        except UnknownKeyEncryptionKey as unknown:
            raise self._explained(unknown, keys) from None
        except KeyRingTooNew as too_new:
            raise KeyRingTooNew(f"{self.describe()}: {too_new}") from None
        except KeyRingTorn as error:
            raise self._torn(str(error)) from None
        ring = read_document(text, self.describe(), remedy=_REMEDY)
        if ring.version != version:
            raise self._torn("The row's version is not its ring's.")
        return ring

    def save(self, ring: KeyRing, *, expected_version: int | None) -> None:
        document = encryption.seal(ring, self._read_keys()[0])
        with self._translated(), _bounded_wait(self._database):
            if expected_version is None:
                self._insert(ring.version, document)
                return
            row = self._rows.filter(pk=_ROW, version=expected_version)
            saved = row.update(version=ring.version, document=document)
        if not saved:
            raise KeyRingConflict

    @raised_anew(KeyFailure)
    def is_wrapped(self) -> bool:
        """True where the ring is encrypted under the first of the key-encryption keys.

        Raises:
            KeyStoreError: as :meth:`load`.
        """
        (first, *_), (_version, document) = self._read_keys(), self._read_row()
        try:
            return encryption.key_id_of(document) == first.id
        except KeyRingTorn as error:
            raise self._torn(str(error)) from None

    @raised_anew(KeyFailure)
    def key_encryption_keys(self) -> list[str]:
        """The ids of the key-encryption keys, the one that encrypts first.

        Raises:
            KeyStoreError: there is none, or one is malformed.
        """
        return [key.id for key in self._read_keys()]

    def check(self) -> list[CheckMessage]:
        if not self._variable or not isinstance(self._variable, str):
            return [_error("E040", "KEY_ENCRYPTION_KEYS_VARIABLE names no variable.", _line())]
        if hasattr(connections[self._database], "schema_name"):
            return [_in_schemas()]
        text = os.environ.get(self._variable, "")
        try:
            keys = encryption.parse_keys(text) if text else ()
        except InvalidKey as error:
            return [_error("E041", f"{self._variable}: {error}", _how_to_make(self._variable))]
        return [_equals_secret_key(self._variable)] if _has_secret_key(text, keys) else []

    def check_server(self) -> list[CheckMessage]:
        try:
            if self.is_wrapped():
                return []
        except KeyFailure:
            return []  # named by another check
        return [
            _warning(
                "W041",
                f"The key ring is not encrypted under the first key of {self._variable}.",
                "Run `manage.py rewrap_keys`; after that the other keys can go.",
            )
        ]

    @property
    def _database(self) -> str:
        return str(router.db_for_write(_model()))

    @property
    def _rows(self) -> Any:
        return _model()._base_manager.using(self._database)

    def _read_row(self) -> tuple[int, str]:
        with self._translated():
            row = self._rows.filter(pk=_ROW).values_list("version", "document").first()
        if row is None:
            raise KeyRingMissing(
                f"There is no key ring in {self.describe()}: run `manage.py generate_keys`."
            )
        version, document = row
        return version, document

    def _insert(self, version: int, document: str) -> None:
        try:
            self._rows.create(pk=_ROW, version=version, document=document)
        except IntegrityError:
            raise KeyRingExists from None

    def _read_keys(self) -> tuple[KeyEncryptionKey, ...]:
        text = os.environ.get(self._variable, "")
        if not text:
            reason = f"The environment variable {self._variable} is not set: the key ring in"
            how = _how_to_make(self._variable)
            raise KeyStoreError(f"{reason} {self.describe()} is encrypted under it. {how}")
        try:
            return encryption.parse_keys(text)
        except InvalidKey as error:
            raise KeyStoreError(
                f"{self._variable}: {error} {_how_to_make(self._variable)}"
            ) from None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn a database error into ours, and leave the caller's transaction usable."""
        try:
            with self._savepoint():
                yield
        except DatabaseError as error:
            reason = str(error).strip().partition("\n")[0]
            if _is_read_only(error):
                reason = "it takes no writes (a standby?): run the command where it does"
            if _is_lock_timeout(error):
                reason = (
                    f"another transaction has held its row for over {_LOCK_SECONDS} seconds."
                    " See what it does, or end it, and run the command again"
                )
            # What will pass, as a database that is restarted.
            kind = KeyStoreUnavailable if isinstance(error, OperationalError) else KeyStoreError
            if isinstance(error, ProgrammingError) or reason.startswith("no such "):
                reason, kind = f"run `manage.py migrate` first ({reason})", KeyStoreError
            raise kind(f"{self.describe()} can't be used: {reason}.") from None

    def _savepoint(self) -> AbstractContextManager[None]:
        if connections[self._database].in_atomic_block:
            return transaction.atomic(using=self._database)
        return nullcontext()

    def _torn(self, fault: str) -> KeyRingTorn:
        return torn(self.describe(), fault, remedy=_REMEDY)

    def _explained(
        self, unknown: UnknownKeyEncryptionKey, keys: tuple[KeyEncryptionKey, ...]
    ) -> KeyStoreError:
        known = ", ".join(key.id for key in keys)
        return KeyStoreError(
            f"The key ring in {self.describe()} is encrypted under the key-encryption key"
            f" {unknown.id}, and {self._variable} has {known}: put that one back, after a comma."
        )


@contextmanager
def _bounded_wait(database: str) -> Iterator[None]:
    """Wait for others who have locked the row no longer than anybody needs it who lives.

    PostgreSQL would wait for ever, MySQL and MariaDB for 50 seconds, SQLite for its ``timeout`` of
    five.
    """
    connection = connections[database]
    match connection.vendor:
        case "postgresql":
            with transaction.atomic(using=database), connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{_LOCK_SECONDS}s"])
                yield
        case "mysql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT @@SESSION.innodb_lock_wait_timeout")
                (former,) = cursor.fetchone()
                cursor.execute("SET SESSION innodb_lock_wait_timeout = %s", [_LOCK_SECONDS])
                try:
                    with transaction.atomic(using=database):
                        yield
                finally:
                    cursor.execute("SET SESSION innodb_lock_wait_timeout = %s", [former])
        case _:
            yield


def _is_lock_timeout(error: DatabaseError) -> bool:
    """PostgreSQL's lock_not_available, MySQL's ER_LOCK_WAIT_TIMEOUT."""
    return _state(error) == "55P03" or error.args[:1] == (1205,)


def _is_read_only(error: DatabaseError) -> bool:
    """PostgreSQL's read_only_sql_transaction; MySQL's ER_OPTION_PREVENTS_STATEMENT and
    ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION; SQLite's SQLITE_READONLY.
    """
    is_sqlite = getattr(error.__cause__, "sqlite_errorname", "").startswith("SQLITE_READONLY")
    return _state(error) == "25006" or error.args[:1] in ((1290,), (1792,)) or is_sqlite


def _state(error: DatabaseError) -> object:
    """SQLSTATE, as psycopg 3 and 2 have it."""
    cause = error.__cause__
    return getattr(cause, "sqlstate", getattr(cause, "pgcode", None))


def _model() -> type[Model]:
    # Asked for by name: models stand above keys.
    return apps.get_model("jwt_auth", "StoredKeyRing")


def _how_to_make(variable: str) -> str:
    return f"Set {variable} to what `{encryption.MAKE_KEY}` prints, the same on every node."


def _line() -> str:
    return (
        'Write JWT_AUTH_KEY_STORE = {"BACKEND": "jwt_auth.keys.stores.database.DatabaseKeyStore"}'
    )


def _in_schemas() -> Error:
    # django-tenants and its like: requests would load the ring of the tenant that happens to come
    # first, and threads, which have no tenant, the public one.
    return _error(
        "E077",
        "the ring can't be in a database with a schema for each tenant, since a process has one.",
        'Write JWT_AUTH_KEY_STORE = {"BACKEND": "jwt_auth.keys.stores.file.FileKeyStore", '
        '"OPTIONS": {"PATH": "/etc/example/keys"}}',
    )


def _error(number: str, message: str, hint: str) -> Error:
    return Error(f"JWT_AUTH_KEY_STORE: {message}", hint=hint, id=f"jwt_auth.{number}")


def _warning(number: str, message: str, hint: str) -> Warning:
    return Warning(message, hint=hint, id=f"jwt_auth.{number}")


def _has_secret_key(text: str, keys: tuple[KeyEncryptionKey, ...]) -> bool:
    written = {part.strip() for part in text.split(",")}
    secrets = {key.secret for key in keys}
    return any(
        key in written or force_bytes(key) in secrets
        for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    )


def _equals_secret_key(variable: str) -> Warning:
    return _warning(
        "W040",
        f"A key of {variable} is equal to SECRET_KEY: whoever reads one has the signing keys, too.",
        f"Put what `{encryption.MAKE_KEY}` prints first in {variable}, and run"
        " `manage.py rewrap_keys`.",
    )
