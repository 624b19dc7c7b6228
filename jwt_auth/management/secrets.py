"""Passphrases and private keys, as the commands are given them and give them.

A passphrase comes in a variable of the environment: a command line is in the shell's history and in
every user's list of processes.
"""

from __future__ import annotations

import os
import shlex
import stat
import sys
from pathlib import Path
from typing import Any, Final

from django.core.management.base import CommandError

#: More than any key; what is longer is some other file.
_MAX_BYTES: Final = 64 * 1024

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def read_passphrase(variable: str | None) -> bytes | None:
    """Read the passphrase that a variable holds; ``None`` where no variable is named."""
    if variable is None:
        return None
    passphrase = os.environb.get(os.fsencode(variable))  # of whatever encoding
    if not passphrase:
        raise CommandError(f"The variable {variable} is not set: put the passphrase into it.")
    return passphrase


def read_key(name: str) -> tuple[bytes, bool]:
    """Read a file, or standard input for ``-``, and say whether others can read it, too."""
    exposed = False
    try:
        if name == "-":
            content = sys.stdin.buffer.read(_MAX_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                exposed = os.fstat(file.fileno()).st_mode & _OTHERS != 0
                content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise CommandError(f"{name} can't be read: {error.strerror}.") from None
    if len(content) > _MAX_BYTES:
        # What is cut off may be another key.
        raise CommandError(f"{name} is larger than any key: give a file with the key alone.")
    return content, exposed


def write_key(name: str, content: bytes, *, private: bool) -> None:
    """Write a new file, whole or not at all; nothing is written over, and what is private only its
    owner can read.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(name, flags, 0o600 if private else 0o644)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
        except BaseException:
            Path(name).unlink()  # what is there would be in the way of the next attempt
            raise
    except FileExistsError:
        raise CommandError(f"{name} is there already: name another file.") from None
    except OSError as error:
        raise CommandError(f"{name} can't be written: {error.strerror}.") from None


def is_exposed(stream: Any) -> bool:
    """True where what is written there lands in a file that others than its owner can use."""
    try:
        status = os.fstat(stream.fileno())
    except (AttributeError, OSError):  # it is no file of the system's
        return False
    return stat.S_ISREG(status.st_mode) and status.st_mode & _OTHERS != 0


def refuse_exposed(name: str) -> None:
    raise CommandError(
        f"{name} is open to other users than its owner: run `chmod 600 {shlex.quote(name)}`,"
        " and if they could read the key, make a new one with `manage.py rotate_keys` instead."
    )
