"""Read and write the key files, and the passphrases that protect them, for the key commands.

A passphrase is passed in an environment variable. On the command line, it would end up in the
shell's history and in the list of processes, which every user of the machine can see.
"""

from __future__ import annotations

import os
import shlex
import stat
import sys
from pathlib import Path
from typing import Any, Final

from django.core.management.base import CommandError

#: Larger than any key: a longer file is something else.
_MAX_BYTES: Final = 64 * 1024

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def read_passphrase(variable: str | None) -> bytes | None:
    """Read the passphrase from an environment variable; ``None`` if no variable is named."""
    if variable is None:
        return None
    # As bytes: a passphrase need not be text in the locale's encoding.
    passphrase = os.environb.get(os.fsencode(variable))
    if not passphrase:
        # Without the name: instead of the variable's, it may be the passphrase itself.
        raise CommandError(
            "The environment variable that --passphrase-variable names is not set: put the"
            " passphrase into it."
        )
    return passphrase


def read_key(name: str) -> tuple[bytes, bool]:
    """Read a key file, or standard input for ``-``.

    The second value is true if users other than the owner have any permission on the file.
    """
    exposed = False
    try:
        if name == "-":
            content = sys.stdin.buffer.read(_MAX_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                exposed = os.fstat(file.fileno()).st_mode & _OTHERS != 0
                content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        # Without the name: instead of a file's, it may be the key itself.
        raise CommandError(f"The key file can't be read: {error.strerror}.") from None
    if len(content) > _MAX_BYTES:
        # The part that was not read may contain another key.
        raise CommandError(f"{name} is larger than any key: give a file with only the key.")
    return content, exposed


def write_key(name: str, content: bytes, *, private: bool) -> None:
    """Write a new key file, completely or not at all.

    An existing file is never overwritten. Only the owner can read a private key's file.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(name, flags, 0o600 if private else 0o644)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
        except BaseException:
            Path(name).unlink()  # the next attempt would refuse to overwrite the incomplete file
            raise
    except FileExistsError:
        raise CommandError(f"{name} exists already: give the name of a new file.") from None
    except OSError as error:
        raise CommandError(f"{name} can't be written: {error.strerror}.") from None


def is_exposed(stream: Any) -> bool:
    """True if the stream writes to a regular file that users other than its owner can access."""
    try:
        status = os.fstat(stream.fileno())
    except (AttributeError, OSError):  # a stream in memory, which has no file descriptor
        return False
    return stat.S_ISREG(status.st_mode) and status.st_mode & _OTHERS != 0


def refuse_exposed(name: str) -> None:
    raise CommandError(
        f"Users other than its owner can access {name}: run `chmod 600 {shlex.quote(name)}`."
        " If they may have read the key, make a new one with `manage.py rotate_keys` instead."
    )
