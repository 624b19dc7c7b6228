"""The file store on the volumes of containers, with their real owners, modes and mounts.

A platform sets them at every start, so the refusal names another store instead of a command that
can't be run, or would not last.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from jwt_auth.exceptions import KeyStoreExposed
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores.file import FileKeyStore
from tests.containers.sandbox import UID, as_user, need_sandbox, sandboxed
from tests.jobs import ROOT

WAY_OUT = r"In a container, use the environment, database or Vault store: https://\S+/containers\."
ELSEWHERE = f"Choose a PATH in a folder of this user. {WAY_OUT}"

#: A Secret in Kubernetes: links to a folder of root's, open to all, on a read-only mount.
SECRET = """
chmod 1777 .
mkdir ..2030
echo {} > ..2030/ring.json
ln -s ..2030 ..data
ln -s ..data/ring.json ring.json
mount -o remount,ro .
"""

#: A secret of Docker, in the folder /run/secrets.
DOCKER_SECRET = """
chmod 755 .
echo {} > ring.json
chmod 444 ring.json
mount -o remount,ro .
"""

#: What `fsGroup` makes of the server's own folder at each start of a pod.
FS_GROUP = f"""
chown {UID}:2000 .
chmod 2770 .
"""

CLAIM_OF_ROOT = "chmod 755 ."

ATTEMPT = """
import sys
from jwt_auth.exceptions import KeyStoreError
from jwt_auth.keys.stores.file import FileKeyStore
_, path, step = sys.argv
store = FileKeyStore(PATH=path)
try:
    if step == "load":
        store.load()
    else:
        store.exclusive().__enter__()
except KeyStoreError as error:
    print(error)
"""


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """Where the volume is mounted."""
    need_sandbox()
    path = tmp_path / "volume"
    path.mkdir()
    return path


def refusal(step: str, volume: Path, make: str, *, uid: int = UID, folder: str = "") -> str:
    """Load, or lock to save, on a volume that shell commands make; give the error's text."""
    mounts = f"mount -t tmpfs tmpfs '{volume}'\ncd '{volume}'\n{make}\ncd '{ROOT}'"
    # The interpreter and this project may be in folders that only their owner can use.
    command = as_user(uid, "dac_read_search") if uid else []
    command += [sys.executable, "-c", ATTEMPT, str(volume / folder), step]
    done = subprocess.run(
        sandboxed(mounts, command, {"PYTHONDONTWRITEBYTECODE": "1"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("make", [SECRET, DOCKER_SECRET], ids=["kubernetes", "docker"])
@pytest.mark.parametrize(
    ("uid", "fault"), [(UID, r"belongs to another user \(uid 0\)"), (0, "is open to other users")]
)
def test_mounted_secret_is_refused_with_another_store(
    volume: Path, make: str, uid: int, fault: str
) -> None:
    """Neither mode nor owner can be changed there, so no command is named."""
    said = refusal("load", volume, make, uid=uid)
    assert re.search(f"{volume} {fault}.*, and its file system is read-only. {WAY_OUT}", said)
    assert "`" not in said


@pytest.mark.parametrize("step", ["load", "save"])
def test_folder_that_fs_group_opens_is_refused_with_another_store(volume: Path, step: str) -> None:
    """`chmod` would help until the next start only."""
    said = refusal(step, volume, FS_GROUP)
    assert re.search(f"`chmod 700 {volume}`.* --compromised KID`. {WAY_OUT}", said)


@pytest.mark.parametrize("step", ["load", "save"])
def test_volume_of_root_is_refused_with_another_store(volume: Path, step: str) -> None:
    """A pod that may not become root can't take it over."""
    said = refusal(step, volume, CLAIM_OF_ROOT)
    assert re.search(rf"\(uid 0\): run `chown {UID} {volume}` as root. {WAY_OUT}", said)


@pytest.mark.parametrize(
    ("make", "reason"),
    [("mount -o remount,ro .", "Read-only file system"), (CLAIM_OF_ROOT, "Permission denied")],
)
def test_folder_that_can_not_be_made_names_another_store(
    volume: Path, make: str, reason: str
) -> None:
    """On a read-only root, or in a folder of root's."""
    said = refusal("save", volume, make, folder="keys")
    assert re.search(rf"keys/ring.json can't be written: {reason}\. {ELSEWHERE}", said)


def test_ring_on_a_read_only_mount_is_read_and_names_another_store_to_be_changed(
    volume: Path, folder: Path, ring: KeyRing
) -> None:
    """If its owner and modes are right."""
    FileKeyStore(PATH=folder).save(ring, expected_version=None)
    make = f"cp -a '{folder}' keys && chown -R {UID} keys && mount -o remount,ro ."
    assert refusal("load", volume, make, folder="keys") == ""
    said = refusal("save", volume, make, folder="keys")
    assert re.search(rf"can't be written: Read-only file system\. {ELSEWHERE}", said)


@pytest.mark.parametrize("mode", [0o750, 0o777, 0o2755])
def test_folder_whose_mode_stays_names_the_command_only(folder: Path, mode: int) -> None:
    """Nothing sets it again."""
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(KeyStoreExposed, match=r"`chmod 700 .* --compromised KID`\.$"):
        FileKeyStore(PATH=folder).load()
