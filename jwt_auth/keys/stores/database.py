"""The key ring in the project's database, in one row, encrypted.

The key that encrypts it comes from the environment, so that a thief of a dump or a backup of the
database can't sign. The store reads from the write database, too: a replica may lag behind. The
time-outs of the project's connection to it bound a load.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Final

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage
from django.db import Error as DatabaseError
from django.db import IntegrityError, connections, router, transaction
from django.db.models import Model
from django.utils.encoding import force_bytes

from jwt_auth.check_messages import FILE_STORE, error, setting_line, warning
from jwt_auth.exceptions import (
    InvalidKey,
    KeyFailure,
    KeyRingConflict,
    KeyRingExists,
    KeyRingMissing,
    KeyRingTorn,
    KeyStoreError,
)
from jwt_auth.keys.redaction import raised_anew
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores import encryption
from jwt_auth.keys.stores.base import KeyStore, located
from jwt_auth.keys.stores.database_access import bounded_wait, translate
from jwt_auth.keys.stores.encryption import KeyEncryptionKey, UnknownKeyEncryptionKey

_VARIABLE: Final = "JWT_AUTH_KEY_ENCRYPTION_KEYS"

#: The one row.
_ROW: Final = 1

_REMEDY: Final = (
    "Restore it from a backup, or delete the row and run `manage.py generate_keys`:"
    " sessions go on, access tokens from before do not."
)


class DatabaseKeyStore(KeyStore):
    """Keeps the ring in the table of :class:`jwt_auth.models.StoredKeyRing`.

    ``KEY_ENCRYPTION_KEYS_VARIABLE`` names the environment variable with the key-encryption keys:
    32 bytes each in base64, separated by commas. The first one encrypts, and each decrypts.
    """

    def __init__(self, KEY_ENCRYPTION_KEYS_VARIABLE: str = _VARIABLE) -> None:  # noqa: N803
        self._variable = KEY_ENCRYPTION_KEYS_VARIABLE

    def describe(self) -> str:
        return f"the table {_model()._meta.db_table} of the database {self._database!r}"

    def load(self) -> KeyRing:
        keys = self._read_keys()
        version, document = self._read_row()
        try:
            with located(self.describe(), remedy=_REMEDY):
                ring = KeyRing.from_json(encryption.unseal(document, keys))
                if ring.version != version:
                    raise KeyRingTorn("The row's version is not its ring's.")
                return ring
        except UnknownKeyEncryptionKey as unknown:
            known = ", ".join(key.id for key in keys)
            raise KeyStoreError(
                f"The key ring in {self.describe()} is encrypted under the key-encryption key"
                f" {unknown.id}, and {self._variable} has {known}: put that one back, after a"
                " comma."
            ) from None

    def save(self, ring: KeyRing, *, expected_version: int | None) -> None:
        document = encryption.seal(ring, self._read_keys()[0])
        with self._translated(), bounded_wait(self._database):
            if expected_version is None:
                self._insert(ring.version, document)
                return
            row = self._rows.filter(pk=_ROW, version=expected_version)
            saved = row.update(version=ring.version, document=document)
        if not saved:
            raise KeyRingConflict

    @raised_anew(KeyFailure)
    def is_wrapped(self) -> bool:
        """True if the ring is encrypted under the first of the key-encryption keys.

        Raises:
            KeyStoreError: as :meth:`load`.
        """
        (first, *_), (_version, document) = self._read_keys(), self._read_row()
        with located(self.describe(), remedy=_REMEDY):
            return encryption.key_id_of(document) == first.id

    @raised_anew(KeyFailure)
    def key_encryption_keys(self) -> list[str]:
        """The ids of the key-encryption keys. The first one encrypts.

        Raises:
            KeyStoreError: the variable is not set, or a key is malformed.
        """
        return [key.id for key in self._read_keys()]

    def check(self) -> list[CheckMessage]:
        if not self._variable or not isinstance(self._variable, str):
            reason = "KEY_ENCRYPTION_KEYS_VARIABLE must be the name of an environment variable."
            line = '{"BACKEND": "jwt_auth.keys.stores.database.DatabaseKeyStore"}'
            return [error("E040", f"JWT_AUTH_KEY_STORE: {reason}", setting_line("KEY_STORE", line))]
        if hasattr(connections[self._database], "schema_name"):
            return [_in_schemas()]
        text = os.environ.get(self._variable, "")
        try:
            keys = encryption.parse_keys(text) if text else ()
        except InvalidKey as invalid:
            reason = f"JWT_AUTH_KEY_STORE: {self._variable}: {invalid}"
            return [error("E041", reason, _how_to_make(self._variable))]
        return [_equals_secret_key(self._variable)] if _has_secret_key(text, keys) else []

    def check_server(self) -> list[CheckMessage]:
        try:
            if self.is_wrapped():
                return []
        except KeyFailure:
            return []  # another check reports it
        return [
            warning(
                "W041",
                f"The key ring is not encrypted under the first key of {self._variable}.",
                "Run `manage.py rewrap_keys`. After that you can remove the other keys.",
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
                f"The key ring is missing in {self.describe()}: run `manage.py generate_keys`."
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
        """Translate a database error, and leave the caller's transaction usable."""
        database = self._database
        in_transaction = connections[database].in_atomic_block
        try:
            with transaction.atomic(using=database) if in_transaction else nullcontext():
                yield
        except DatabaseError as error:
            raise translate(error, self.describe()) from None


def _model() -> type[Model]:
    # By name: keys may not import models, which are a layer above.
    return apps.get_model("jwt_auth", "StoredKeyRing")


def _how_to_make(variable: str) -> str:
    return f"Set {variable} to what `{encryption.MAKE_KEY}` prints, the same on every node."


def _in_schemas() -> CheckMessage:
    # With django-tenants and its like, a request would load the ring of the tenant that comes first
    # by chance. A thread in the background, which has no tenant, would load the public one.
    return error(
        "E077",
        "JWT_AUTH_KEY_STORE: the ring can't be in a database with a schema for each tenant,"
        " because a process has only one ring.",
        setting_line("KEY_STORE", FILE_STORE),
    )


def _has_secret_key(text: str, keys: tuple[KeyEncryptionKey, ...]) -> bool:
    written = {part.strip() for part in text.split(",")}
    secrets = {key.secret for key in keys}
    return any(
        key in written or force_bytes(key) in secrets
        for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    )


def _equals_secret_key(variable: str) -> CheckMessage:
    return warning(
        "W040",
        f"A key of {variable} is equal to SECRET_KEY: an attacker who reads it also "
        "gets the signing keys.",
        f"Put what `{encryption.MAKE_KEY}` prints first in {variable}, and run"
        " `manage.py rewrap_keys`.",
    )
