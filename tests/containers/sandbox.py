"""What a container has, by the means of Linux: mounts of its own and an unprivileged user."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

import pytest

from tests.programs import need

#: The user of the documented image.
UID = 10001

#: Like `setpriv`, a part of util-linux, which every Debian has.
_UNSHARE = ("unshare", "--mount", "--propagation", "private")

#: Has every file system read-only, however many are mounted.
READ_ONLY = """
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
while read -r _ path _; do
    case $path in /proc* | /sys* | /dev*) ;; *) mount -o remount,bind,ro "$path" ;; esac
done < /proc/self/mounts
"""


def as_root(*command: str) -> list[str]:
    """Give the command for root, or for sudo if it asks for no password."""
    return list(command) if os.geteuid() == 0 else ["sudo", "--non-interactive", *command]


def as_user(uid: int, *capabilities: str) -> list[str]:
    """Give the start of a command that runs as the user, without a way to more rights."""
    granted = ",".join(("-all", *(f"+{name}" for name in capabilities)))
    return [
        *("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--no-new-privs"),
        *(f"--inh-caps={granted}", f"--ambient-caps={granted}", f"--bounding-set={granted}"),
    ]


def sandboxed(mounts: str, command: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Give a command that runs after a shell's lines in a mount namespace, which ends with it.

    It sees only this environment.
    """
    clean = ["env", "-i", *(f"{name}={value}" for name, value in environment.items())]
    return as_root(*_UNSHARE, "sh", "-euc", f'{mounts}\nexec "$@"', "sh", *clean, *command)


def need_sandbox() -> None:
    """Skip the test if this machine allows no mounts; with REQUIRE_ALL=1, fail."""
    for program in (as_root("unshare")[0], "unshare", "setpriv"):
        need(program)
    tried = subprocess.run(as_root(*_UNSHARE, "true"), capture_output=True, text=True, check=False)
    if tried.returncode != 0 and os.environ.get("REQUIRE_ALL") != "1":
        pytest.skip(f"Only root can have mounts for a test: {tried.stderr}")
    assert tried.returncode == 0, tried.stderr
