"""The key ring in a file that only its owner can read.

A folder of mode 0700 holds ``ring.json`` (0600), replaced as a whole by a rename, and
``ring.lock``, which whoever writes holds. Several processes of one machine share it; so do several
machines whose shared file system has ``flock`` and atomic renames.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from jwt_auth.exceptions import (
    KeyRingConflict,
    KeyRingExists,
    KeyRingMissing,
    KeyRingTooNew,
    KeyRingTorn,
    KeyStoreError,
    KeyStoreExposed,
)
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores.base import KeyStore

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_TEMPORARY: Final = ".ring-"


class FileKeyStore(KeyStore):
    """Keeps the ring in the folder ``PATH``."""

    def __init__(self, PATH: str | os.PathLike[str]) -> None:  # noqa: N803  the name of the option
        self._folder = Path(PATH)
        self._path = self._folder / "ring.json"

    def describe(self) -> str:
        return str(self._path)

    def stamp(self) -> object | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def load(self) -> KeyRing:
        with self._translated("read"):
            text = self._read()
        try:
            return KeyRing.from_json(text.decode("utf-8"))
        except UnicodeDecodeError:
            torn = KeyRingTorn("The key ring is not a JSON document.")
            raise self._named(torn) from None
        except KeyRingTorn as torn:
            raise self._named(torn) from None

    def save(self, ring: KeyRing, *, expected_version: int | None) -> None:
        with self._translated("written"):
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            self._folder.mkdir(mode=0o700, exist_ok=True)
            owner = self._require_private_folder()
            with _locked(self._folder / "ring.lock", owner):
                self._require_version(expected_version)
                _replace(self._path.resolve(), ring.to_json().encode("utf-8"), owner)

    def _named(self, torn: KeyRingTorn) -> KeyRingTorn:
        """Say which file it is, and what to do: a ring that is too new is whole, and says so."""
        if isinstance(torn, KeyRingTooNew):
            return KeyRingTooNew(f"{self._path}: {torn}")
        return KeyRingTorn(
            f"{self._path}: {torn} Restore it from a backup, or move it away and run"
            " `manage.py generate_keys`: sessions go on, access tokens from before do not."
        )

    def _require_version(self, expected: int | None) -> None:
        try:
            stored = self.load().version
        except KeyRingMissing:
            stored = None
        if stored == expected:
            return
        raise KeyRingConflict if expected is not None else KeyRingExists

    def _read(self) -> bytes:
        try:
            self._require_private_folder()
            path = self._path.resolve()
            # Resolved before, not followed now: what is judged is what is read.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            raise KeyRingMissing(
                f"There is no key ring at {self._path}: run `manage.py generate_keys`."
            ) from None
        with os.fdopen(descriptor, "rb") as file:
            _require_private(path, os.fstat(file.fileno()), "600")
            return file.read()

    def _require_private_folder(self) -> os.stat_result:
        """Judge the folder, and the one that ``ring.json`` really lies in where that is a link."""
        status = self._folder.stat()
        _require_private(self._folder, status, "700")
        real = self._path.resolve().parent
        real_status = real.stat()
        _require_private(real, real_status, "700")
        if real_status.st_uid != status.st_uid:
            raise KeyStoreExposed(f"{self._path} links to a folder of another user: move it here.")
        return status

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise KeyStoreError(f"{self._path} can't be {what}: {error.strerror}.") from None
        except RuntimeError:  # from Path.resolve(), before Python 3.13
            reason = "a loop of symbolic links"
            raise KeyStoreError(f"{self._path} can't be {what}: {reason}.") from None


def _require_private(path: Path, status: os.stat_result, mode: str) -> None:
    """Refuse what others can read or write. Root may read everybody's: it could anyway."""
    if status.st_uid != os.geteuid() != 0:
        command = f"chown {os.geteuid()} {shlex.quote(str(path))}"
        raise KeyStoreExposed(
            f"{path} belongs to another user (uid {status.st_uid}): run `{command}`."
        )
    if status.st_mode & _OTHERS:
        command = f"chmod {mode} {shlex.quote(str(path))}"
        raise KeyStoreExposed(
            f"{path} is open to other users than its owner: run `{command}`,"
            " and if they could read the keys, `manage.py rotate_keys --compromised KID`."
        )


@contextmanager
def _locked(path: Path, owner: os.stat_result) -> Iterator[None]:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        _give_to(descriptor, owner)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)  # which also unlocks


def _replace(path: Path, content: bytes, owner: os.stat_result) -> None:
    """Write beside the file and rename: a reader, and a crash, sees the old ring or the new one."""
    for left_over in path.parent.glob(f"{_TEMPORARY}*"):
        # Of a process that died here; it may hold a key that has been compromised since.
        left_over.unlink()
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=_TEMPORARY)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _give_to(file.fileno(), owner)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink()
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _give_to(descriptor: int, owner: os.stat_result) -> None:
    """Have root, who may run the commands, leave the server a file that the server can read."""
    if os.geteuid() == 0:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
