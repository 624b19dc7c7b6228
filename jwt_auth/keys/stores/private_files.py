"""A file in a folder that only its owner can use, reached through file descriptors.

A path can lead to another place at each use: the folder's owner could put a link there between two
steps. If root runs the command, it would then give away a file of its own. So the folder is opened
once and judged through its descriptor, and all that follows is relative to that descriptor.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import secrets
import shlex
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Final

from jwt_auth.documentation import address
from jwt_auth.exceptions import KeyStoreExposed

#: Advice for volumes whose owner and modes the platform sets.
WAY_OUT: Final = "In a container, use the environment, database or Vault store: " + address(
    "how-to/containers", "choose-the-key-store"
)

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_TEMPORARY: Final = ".ring-"

#: The modes that Kubernetes gives to the folders of a volume with an `fsGroup`, at each start.
_OF_FS_GROUP: Final = stat.S_ISGID | stat.S_IRWXG

#: As many as Linux follows.
_MAX_LINKS: Final = 40

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

#: The holder's text in a lock file: its process and its host.
_HOLDER: Final = re.compile(r"(\d+) ([\w.-]+)")

#: Seconds. A ring is written in some 10 ms; a process that locks it for this long hangs.
_LOCK_SECONDS: Final = 10.0
_LOCK_PAUSE: Final = 0.1

logger: Final = logging.getLogger("jwt_auth")


class Busy(Exception):
    """Another process holds the lock; the text says which."""


class PrivateFile:
    """A file, which may not exist yet, in a folder that is open."""

    def __init__(self, folder: int, name: str, path: Path) -> None:
        self._folder = folder
        self._name = name
        self._path = path
        self._owner = os.fstat(folder)

    def read(self, limit: int) -> bytes:
        """Read the first ``limit`` bytes.

        Raises:
            KeyStoreExposed: other users can use the file.
            OSError: it can't be read.
        """
        # Not blocking: opening a named pipe would otherwise wait for ever.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(self._name, flags, dir_fd=self._folder)
        try:
            require_private(self._path, descriptor, "600")
            with open(descriptor, "rb", closefd=False) as file:  # refuses a folder
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise OSError(errno.EINVAL, "Not a regular file")
                return file.read(limit)
        finally:
            os.close(descriptor)

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Lock the file ``name`` in the same folder, and write into it which process that is.

        Raises:
            Busy: another process holds the lock for too long.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=self._folder)
        try:
            self._give_to_owner(descriptor)
            self._lock(descriptor, self._path.with_name(name))
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} {socket.gethostname()}".encode(), 0)
            try:
                yield
            finally:
                os.truncate(descriptor, 0)
        finally:
            os.close(descriptor)  # which also unlocks

    def _lock(self, descriptor: int, path: Path) -> None:
        end, said = monotonic() + _LOCK_SECONDS, False
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = _holder(descriptor)
            else:
                return
            if monotonic() >= end:
                raise Busy(
                    f"{holder} has held {path} for over {_LOCK_SECONDS:g} seconds."
                    " See what it does, or end it, and run the command again."
                )
            if not said:
                said = True
                logger.warning("Waiting for %s, which holds %s.", holder, path)
            sleep(_LOCK_PAUSE)

    def replace(self, content: bytes) -> None:
        """Write a new file and rename it: a reader, and a crash, see either the old ring or the new
        one.
        """
        self._remove_left_overs()
        temporary = _TEMPORARY + secrets.token_hex(8)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o600, dir_fd=self._folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                self._give_to_owner(file.fileno())
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except BaseException:
            os.unlink(temporary, dir_fd=self._folder)
            raise
        os.fsync(self._folder)

    def _remove_left_overs(self) -> None:
        for name in os.listdir(self._folder):  # noqa: PTH208  a path has no descriptor
            if name.startswith(_TEMPORARY):
                # A process died while it wrote this. A key in it may be compromised by now.
                os.unlink(name, dir_fd=self._folder)

    def _give_to_owner(self, descriptor: int) -> None:
        """Give a file that root has made to the folder's owner, so that the server can read it.

        A file with a second name is not given away: that name may be in another user's folder.
        """
        if os.geteuid() == 0 and os.fstat(descriptor).st_nlink == 1:
            os.fchown(descriptor, self._owner.st_uid, self._owner.st_gid)


@contextmanager
def opened(path: Path) -> Iterator[PrivateFile]:
    """Open the folder that the file lies in. If the path is a link, that is the target's folder.

    Raises:
        KeyStoreExposed: other users can use one of the two folders, or they have different owners:
            the owner of the link could then make root write into the other folder.
        OSError: a folder can't be opened.
    """
    with ExitStack() as stack:
        named = folder = _open(stack, path.parent)
        require_private(path.parent, named, "700")
        name, real = path.name, path
        for _ in range(_MAX_LINKS):
            target = _read_link(folder, name)
            if target is None:
                break
            real = real.parent / target
            parent, name = os.path.split(target)
            folder = _open(stack, parent or ".", folder)
        else:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if folder != named:
            real = Path(os.path.realpath(real.parent), name)  # for the messages only
            require_private(real.parent, folder, "700")
            if os.fstat(folder).st_uid != os.fstat(named).st_uid:
                raise KeyStoreExposed(f"{path} links to a folder of another user: move it here.")
        yield PrivateFile(folder, name, real)


def make(folder: Path) -> None:
    """Make the folder and its missing parents, each for its owner only."""
    for path in reversed((folder, *folder.parents)):
        # Not `parents=True`: that would leave the mode of the parents to the umask.
        if not path.exists():
            path.mkdir(mode=0o700, exist_ok=True)


def _holder(descriptor: int) -> str:
    """Name the process that holds the lock, as far as the lock file does."""
    text = os.pread(descriptor, 300, 0).decode(errors="replace")
    match = _HOLDER.fullmatch(text)
    return "another process" if match is None else f"process {match[1]} on {match[2]}"


def _open(stack: ExitStack, folder: str | Path, beside: int | None = None) -> int:
    # A link in the folder's path is followed (Kubernetes' volumes have one) and its target judged.
    descriptor = os.open(folder, _FOLDER, dir_fd=beside)
    stack.callback(os.close, descriptor)
    return descriptor


def _read_link(folder: int, name: str) -> str | None:
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError:
        return None  # not a link, or not there yet; any other fault shows when it is opened


def require_private(path: Path, descriptor: int, mode: str) -> None:
    """Refuse a file or folder that other users can use. Root may use those of all users."""
    status, name = os.fstat(descriptor), shlex.quote(str(path))
    if status.st_uid != os.geteuid() != 0:
        fault = f"{path} belongs to another user (uid {status.st_uid})"
        remedy = f"run `chown {os.geteuid()} {name}` as root. {WAY_OUT}"
    elif status.st_mode & _OTHERS:
        is_reset = status.st_mode & _OF_FS_GROUP == _OF_FS_GROUP
        fault = f"{path} is open to other users than its owner"
        remedy = (
            f"run `chmod {mode} {name}`,"
            " and if they could read the keys, `manage.py rotate_keys --compromised KID`."
            f"{f' {WAY_OUT}' if is_reset else ''}"
        )
    else:
        return
    # On a read-only mount, such as a Secret in Kubernetes, no command can change anything.
    is_read_only = os.fstatvfs(descriptor).f_flag & os.ST_RDONLY
    refusal = f", and its file system is read-only. {WAY_OUT}" if is_read_only else f": {remedy}"
    raise KeyStoreExposed(f"{fault}{refusal}")
