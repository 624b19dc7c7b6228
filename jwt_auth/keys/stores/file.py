"""The key ring in a file that only its owner can read.

A folder of mode 0700 holds two files. ``ring.json`` (0600) is replaced as a whole by a rename. The
process that writes locks ``ring.lock`` and writes its own name into it. The processes of a machine
can share the folder, and so can several machines if their shared file system has ``flock`` and
atomic renames.

``ring.json`` may be a link. The ring and its lock then lie in the folder that it leads to, so that
a process that comes by the link takes the same lock as one that comes there directly.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import local
from typing import Final

from django.core.checks import CheckMessage

from jwt_auth.check_messages import option_error
from jwt_auth.exceptions import (
    KeyRingConflict,
    KeyRingExists,
    KeyRingMissing,
    KeyStoreError,
    KeyStoreUnavailable,
)
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores import private_files
from jwt_auth.keys.stores.base import KeyStore, read_document, torn
from jwt_auth.keys.stores.private_files import PrivateFile

#: Enough for hundreds of keys. A larger file is not a key ring.
_MAX_BYTES: Final = 1024 * 1024

_LOCK: Final = "ring.lock"

#: The errors of a read-only root, or of an unprivileged user in a folder of root's.
_IN_CONTAINERS: Final = frozenset({errno.EROFS, errno.EACCES})
_ELSEWHERE: Final = f" Choose a PATH in a folder of this user. {private_files.WAY_OUT}"


class FileKeyStore(KeyStore):
    """Keeps the ring in the folder ``PATH``."""

    def __init__(self, PATH: str | os.PathLike[str]) -> None:  # noqa: N803  the name of the option
        self._folder = Path(PATH)
        self._path = self._folder / "ring.json"
        #: The open file of the thread that holds the lock.
        self._locked = local()

    def describe(self) -> str:
        return str(self._path)

    def check(self) -> list[CheckMessage]:
        if self._folder.is_absolute():
            return []
        reason = "PATH must be absolute: a server and a command may run in different folders"
        return [option_error("E079", reason, '"PATH": "/var/lib/example/keys"')]

    def stamp(self) -> object | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def load(self) -> KeyRing:
        with self._translated("read"):
            try:
                with private_files.opened(self._path) as file:
                    return self._load(file)
            except FileNotFoundError:
                raise KeyRingMissing(
                    f"The key ring is missing at {self._path}: run `manage.py generate_keys`."
                ) from None

    def save(self, ring: KeyRing, *, expected_version: int | None) -> None:
        content = ring.to_json().encode()
        if len(content) > _MAX_BYTES:
            raise KeyStoreError(
                f"{self._path} takes {_MAX_BYTES} bytes at most, and the key ring is larger:"
                " run `manage.py rotate_keys --retire`."
            )
        with self.exclusive(), self._translated("written"):
            file: PrivateFile = self._locked.file
            self._require_version(file, expected_version)
            file.replace(content)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Lock ``ring.lock``. In a thread that has locked it already this changes nothing."""
        if getattr(self._locked, "file", None) is not None:
            yield
            return
        with ExitStack() as held:
            with self._translated("written"):
                private_files.make(self._folder)
                file = held.enter_context(private_files.opened(self._path))
                held.enter_context(file.locked(_LOCK))
            held.callback(setattr, self._locked, "file", None)
            self._locked.file = file
            yield

    def _load(self, file: PrivateFile) -> KeyRing:
        document = file.read(_MAX_BYTES + 1)
        if len(document) > _MAX_BYTES:
            raise torn(self.describe(), "The file is larger than any key ring.")
        return read_document(document, self.describe())

    def _require_version(self, file: PrivateFile, expected: int | None) -> None:
        try:
            stored = self._load(file).version
        except FileNotFoundError:
            stored = None
        if stored == expected:
            return
        raise KeyRingConflict if expected is not None else KeyRingExists

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except private_files.Busy as busy:
            raise KeyStoreUnavailable(f"{self._path} can't be {what}: {busy}") from None
        except OSError as error:
            advice = _ELSEWHERE if error.errno in _IN_CONTAINERS else ""
            raise KeyStoreError(
                f"{self._path} can't be {what}: {error.strerror}.{advice}"
            ) from None
