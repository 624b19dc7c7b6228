"""The file store: private, whole, and one writer at a time."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from jwt_auth.exceptions import KeyRingTorn, KeyStoreError, KeyStoreExposed, KeyStoreUnavailable
from jwt_auth.keys import changes, lifecycle
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores import private_files as folders
from jwt_auth.keys.stores.base import KeyStore
from jwt_auth.keys.stores.file import FileKeyStore
from tests.keys.contract import KeyStoreContract, Storage
from tests.keys.reloading import told


@pytest.fixture
def store(folder: Path) -> FileKeyStore:
    return FileKeyStore(PATH=folder)


@pytest.fixture
def saved(store: FileKeyStore, ring: KeyRing) -> FileKeyStore:
    """The store with a ring in it."""
    store.save(ring, expected_version=None)
    return store


@pytest.fixture(autouse=True)
def _any_umask() -> Iterator[None]:
    """A umask that would let everybody read."""
    former = os.umask(0)
    yield
    os.umask(former)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def linked(folder: Path) -> Path:
    """Have the ring lie in another folder, and a link to it in its place."""
    real = folder.parent / "elsewhere" / "real.json"
    real.parent.mkdir(mode=0o700)
    (folder / "ring.json").rename(real)
    (folder / "ring.json").symlink_to(real)
    return real


def mounted(folder: Path) -> Path:
    """Have two links lead to the ring, as Kubernetes makes them."""
    real = folder / "..2030_01_01" / "ring.json"
    real.parent.mkdir(mode=0o700)
    (folder / "..data").symlink_to(real.parent.name)
    (folder / "ring.json").rename(real)
    (folder / "ring.json").symlink_to("..data/ring.json")
    return real


class FileStorage(Storage):
    """A folder of the test's own."""

    outage = "Not a directory|File exists"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self) -> FileKeyStore:
        return FileKeyStore(PATH=self.folder)

    def put(self, content: bytes) -> None:
        (self.folder / "ring.json").write_bytes(content)

    def empty(self) -> None:
        (self.folder / "ring.json").unlink()

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Put a file in the folder's place."""
        aside = self.folder.with_name("aside")
        existed = self.folder.exists()
        if existed:
            self.folder.rename(aside)
        self.folder.touch(mode=0o600)
        yield
        self.folder.unlink()
        if existed:
            aside.rename(self.folder)


@pytest.fixture
def storage(folder: Path) -> FileStorage:
    return FileStorage(folder)


class TestContract(KeyStoreContract): ...


def test_saved_files_are_private_whatever_the_umask(saved: FileKeyStore, folder: Path) -> None:
    """Only the owner gets in, and only the owner reads."""
    assert mode(folder) == 0o700
    assert {path.name: mode(path) for path in folder.iterdir()} == {
        "ring.json": 0o600,
        "ring.lock": 0o600,
    }


def test_folders_above_are_private_too(ring: KeyRing, tmp_path: Path) -> None:
    """The umask would have let everybody put another folder in the place of the keys' one."""
    inner = tmp_path / "share" / "jwt_auth" / "example"
    FileKeyStore(PATH=inner).save(ring, expected_version=None)
    assert [mode(path) for path in (inner, inner.parent, inner.parent.parent)] == [0o700] * 3


@pytest.mark.parametrize(
    ("name", "closed", "open_to"),
    [
        *[("keys", "700", bits) for bits in (0o740, 0o720, 0o710, 0o704, 0o702, 0o701)],
        *[("keys/ring.json", "600", bits) for bits in (0o640, 0o620, 0o604, 0o602)],
    ],
)
def test_what_others_can_use_is_refused(
    saved: FileKeyStore, folder: Path, following: KeyRing, name: str, closed: str, open_to: int
) -> None:
    """For reading and for writing, with the command that closes it; its mode is left alone."""
    path = folder.parent / name
    path.chmod(open_to)
    for attempt in (saved.load, lambda: saved.save(following, expected_version=1)):
        with pytest.raises(KeyStoreExposed, match=f"chmod {closed} {path}`"):
            attempt()
    assert mode(path) == open_to


def test_file_of_another_user_is_refused(
    saved: FileKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner could replace it."""
    uid = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    with pytest.raises(KeyStoreExposed, match=f"another user .*chown {uid}"):
        saved.load()


def test_root_reads_the_ring_of_another_user(
    saved: FileKeyStore, folder: Path, ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may do anything is not in the way of an operator's `list_keys`."""
    if os.geteuid() == 0:
        for path in (folder, folder / "ring.json"):
            os.chown(path, 4711, 4711)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert saved.load() == ring


def test_root_leaves_what_it_writes_to_the_folders_owner(
    store: FileKeyStore, folder: Path, ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a rotation by root would lock the server out."""
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", lambda _, uid, gid: given.append((uid, gid)))
    store.save(ring, expected_version=None)
    owner = folder.stat()
    assert given == [(owner.st_uid, owner.st_gid)] * 2


def test_others_give_nothing_away(
    store: FileKeyStore, ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only root can, and only root tries."""
    monkeypatch.setattr(folders, "require_private", lambda *args: None)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    monkeypatch.setattr(os, "fchown", lambda *args: pytest.fail("fchown"))
    store.save(ring, expected_version=None)


def test_file_that_was_cut_off_is_torn(saved: FileKeyStore, folder: Path) -> None:
    """At any byte, the first one too: an empty file is no missing ring."""
    whole = (folder / "ring.json").read_bytes()
    for length in range(0, len(whole), 7):
        (folder / "ring.json").write_bytes(whole[:length])
        with pytest.raises(KeyRingTorn, match=f"{folder}/ring.json: The"):
            saved.load()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.mkdir(mode=0o700), r"Is a directory\."),
        (lambda path: os.mkfifo(path, 0o600), r"Not a regular file\."),
        (lambda path: path.symlink_to(path), "symbolic links"),
    ],
    ids=["folder", "pipe", "loop of links"],
)
def test_what_is_no_file_is_a_store_error(
    store: FileKeyStore, folder: Path, make: Callable[[Path], None], reason: str
) -> None:
    """Nobody waits for what comes out of a pipe, and every Python says the same of a loop."""
    folder.mkdir(mode=0o700)
    make(folder / "ring.json")
    with pytest.raises(KeyStoreError, match=f"can't be read: .*{reason}"):
        store.load()


@pytest.mark.parametrize("move", [linked, mounted])
def test_linked_ring_is_replaced_where_it_really_lies(
    saved: FileKeyStore,
    folder: Path,
    ring: KeyRing,
    following: KeyRing,
    move: Callable[[Path], Path],
) -> None:
    """And stays a link."""
    real = move(folder)
    assert saved.load() == ring
    saved.save(following, expected_version=1)
    assert (folder / "ring.json").is_symlink()
    assert KeyRing.from_json(real.read_text()) == following


@pytest.mark.parametrize(("name", "open_to"), [("keys", 0o777), ("elsewhere", 0o755)])
def test_link_in_or_into_an_open_folder_is_refused(
    saved: FileKeyStore, folder: Path, name: str, open_to: int
) -> None:
    """Who can write there can link to another ring, or replace the real one."""
    linked(folder)
    (folder.parent / name).chmod(open_to)
    with pytest.raises(KeyStoreExposed, match=f"chmod 700 {folder.parent / name}`"):
        saved.load()


def test_link_into_the_folder_of_another_user_is_refused(
    saved: FileKeyStore, folder: Path, monkeypatch: pytest.MonkeyPatch, following: KeyRing
) -> None:
    """Else the folder's owner could have root overwrite any file."""
    elsewhere = linked(folder).parent
    foreign, real = elsewhere.stat().st_ino, os.fstat

    def status_of(descriptor: int) -> os.stat_result:
        status = real(descriptor)
        if status.st_ino == foreign:
            return os.stat_result((*status[:4], status.st_uid + 1, *status[5:]))
        return status

    monkeypatch.setattr(os, "fstat", status_of)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for attempt in (saved.load, lambda: saved.save(following, expected_version=1)):
        with pytest.raises(KeyStoreExposed, match="folder of another user"):
            attempt()
    assert {path.name for path in elsewhere.iterdir()} == {"real.json"}


@pytest.mark.parametrize("step", ["flock", "fsync"])
def test_link_that_is_put_there_during_a_save_leads_nowhere(
    saved: FileKeyStore,
    folder: Path,
    following: KeyRing,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    """The folder's owner could else have root give any file away."""
    victim = folder.parent / "cron.d" / "job"
    victim.parent.mkdir()
    victim.write_text("root's own")
    module = fcntl if step == "flock" else os

    def swap(*args: int) -> None:
        (folder / "ring.json").unlink(missing_ok=True)
        (folder / "ring.json").symlink_to(victim)

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", lambda *args: None)
    monkeypatch.setattr(module, step, swap)
    with suppress(KeyStoreError):
        saved.save(following, expected_version=1)
    assert victim.read_text() == "root's own"
    assert {path.name for path in victim.parent.iterdir()} == {"job"}


def test_folder_that_is_swapped_during_a_save_is_the_one_that_is_written_to(
    saved: FileKeyStore, folder: Path, following: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was judged, and not what has its name since."""
    aside, other = folder.with_name("aside"), folder.with_name("other")
    other.mkdir()
    (other / ".ring-mine").touch()

    def swap(*args: int) -> None:
        folder.rename(aside)
        folder.symlink_to(other)

    monkeypatch.setattr(fcntl, "flock", swap)
    saved.save(following, expected_version=1)
    assert FileKeyStore(PATH=aside).load() == following
    assert {path.name for path in other.iterdir()} == {".ring-mine"}


def test_root_does_not_give_away_a_file_that_has_another_name(
    saved: FileKeyStore, folder: Path, following: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder's owner may have put it in the lock's place."""
    elsewhere = folder.parent / "shadow"
    elsewhere.touch(mode=0o600)
    (folder / "ring.lock").unlink()
    (folder / "ring.lock").hardlink_to(elsewhere)
    given: list[int] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", lambda file, *_: given.append(os.fstat(file).st_ino))
    saved.save(following, expected_version=1)
    assert given == [(folder / "ring.json").stat().st_ino]


def test_link_and_what_it_leads_to_have_one_lock(
    saved: FileKeyStore, folder: Path, following: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two who save at once, each by another way, would both win."""
    elsewhere = folder.parent / "elsewhere"
    folder.rename(elsewhere)
    folder.mkdir(mode=0o700)
    (folder / "ring.json").symlink_to("../elsewhere/ring.json")
    held: list[int] = []
    monkeypatch.setattr(fcntl, "flock", lambda file, _: held.append(os.fstat(file).st_ino))
    saved.save(following, expected_version=1)
    FileKeyStore(PATH=elsewhere).save(replace(following, version=3), expected_version=2)
    assert held == [(elsewhere / "ring.lock").stat().st_ino] * 2


def wait_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the lock be had at once or not at all; a wait without an end fails and does not hang."""

    def wait(seconds: float) -> None:
        raise AssertionError

    monkeypatch.setattr(folders, "_LOCK_SECONDS", 0.0)
    monkeypatch.setattr(folders, "sleep", wait)


HOLDER = """
import sys

from jwt_auth.keys.stores.file import FileKeyStore
with FileKeyStore(PATH=sys.argv[1]).exclusive():
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(saved: FileKeyStore, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the lock until it reads a line."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_lock_that_is_not_let_go_names_who_has_it(
    saved: FileKeyStore,
    ring: KeyRing,
    following: KeyRing,
    holder: subprocess.Popen[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A process that hangs, or was stopped, has nobody wait for ever, or without a word."""
    clock, pauses = iter(range(0, 100, 4)), iter([None] * 5)
    monkeypatch.setattr(folders, "monotonic", lambda: next(clock))
    monkeypatch.setattr(folders, "sleep", lambda seconds: next(pauses))
    name = f"process {holder.pid} on {socket.gethostname()}"
    with pytest.raises(KeyStoreUnavailable, match=rf"{name} has held \S+/ring.lock for over 10 s"):
        saved.save(following, expected_version=1)
    assert [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING] == [
        f"Waiting for {name}, which holds {saved.describe().replace('.json', '.lock')}."
    ]
    assert saved.load() == ring


def test_wait_for_the_lock_that_is_interrupted_leaves_it_alone(
    saved: FileKeyStore,
    ring: KeyRing,
    following: KeyRing,
    holder: subprocess.Popen[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C: nothing is saved, who holds it goes on, and the next one has to wait as well."""

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(folders, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        saved.save(following, expected_version=1)
    assert saved.load() == ring
    wait_for_nobody(monkeypatch)
    with pytest.raises(KeyStoreUnavailable, match=f"process {holder.pid} on"):
        saved.save(following, expected_version=1)
    holder.communicate("\n")
    saved.save(following, expected_version=1)


def test_holder_that_is_interrupted_lets_the_lock_go(
    saved: FileKeyStore, folder: Path, following: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others have it at once, and so has the same store; the file names nobody any more."""
    wait_for_nobody(monkeypatch)
    other = FileKeyStore(PATH=folder)
    with pytest.raises(KeyboardInterrupt), saved.exclusive():
        raise KeyboardInterrupt
    assert (folder / "ring.lock").read_bytes() == b""
    with other.exclusive(), pytest.raises(KeyStoreUnavailable):
        saved.save(following, expected_version=1)
    saved.save(following, expected_version=1)


def test_lock_of_one_thread_is_not_that_of_another(
    saved: FileKeyStore, following: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process has one store, and each thread the lock for itself; in the same one it nests."""
    wait_for_nobody(monkeypatch)
    with ThreadPoolExecutor(1) as pool, saved.exclusive():
        late = pool.submit(saved.save, following, expected_version=1)
        assert isinstance(late.exception(), KeyStoreUnavailable)
        saved.save(following, expected_version=1)


def test_lock_file_names_its_holder_and_nobody_before(saved: FileKeyStore, folder: Path) -> None:
    """A process that died in between has left its name, and a longer one."""
    lock = folder / "ring.lock"
    lock.write_bytes(b"4194304 a-machine-with-a-long-name." + b"x" * 100)
    with saved.exclusive():
        assert lock.read_text() == f"{os.getpid()} {socket.gethostname()}"


def test_time_of_a_change_is_taken_when_nobody_is_waited_for(
    saved: FileKeyStore,
    holder: subprocess.Popen[str],
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A key is published for as long as was planned, however long the lock was held."""
    time = [now]

    def an_hour_passes(seconds: float) -> None:
        time[0] += timedelta(hours=1)
        holder.communicate("\n")

    monkeypatch.setattr(changes, "_clock", lambda: time[0])
    monkeypatch.setattr(folders, "sleep", an_hour_passes)
    change = lifecycle.rotate(saved, algorithm=None)
    assert time[0] == now + timedelta(hours=1) == change.now
    key = saved.load().keys[-1]
    assert key.created_at == time[0]
    assert key.activates_at == time[0] + timedelta(minutes=10)


def test_lock_of_somebody_who_says_nothing_is_waited_for(
    saved: FileKeyStore,
    folder: Path,
    following: KeyRing,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An older version, or a shell's `flock`."""
    wait_for_nobody(monkeypatch)
    with (folder / "ring.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(KeyStoreUnavailable, match="written: another process has held"):
            saved.save(following, expected_version=1)
        with told() as events, pytest.raises(KeyStoreUnavailable):
            lifecycle.rotate(saved, algorithm=None, now=now)
    (refused,) = [event for event in events if event["event"] == "refused"]
    assert (refused["operation"], refused["reason"]) == ("save", "key_store_unavailable")
    saved.save(following, expected_version=1)


def test_file_that_is_too_large_for_a_ring_is_torn(saved: FileKeyStore, folder: Path) -> None:
    """Also where it would be one: nobody is kept busy with reading it."""
    with (folder / "ring.json").open("a") as file:
        file.write(" " * 1024 * 1024)
    with pytest.raises(KeyRingTorn, match=f"{folder}/ring.json: The file is larger than any"):
        saved.load()


def test_ring_that_could_not_be_read_again_is_not_written(
    saved: FileKeyStore, ring: KeyRing
) -> None:
    """With what to do."""
    (key,) = ring.keys
    large = replace(ring, keys=(replace(key, jwk=key.jwk | {"x": "x" * 1024 * 1024}),))
    with pytest.raises(KeyStoreError, match=r"bytes at most.*--retire"):
        saved.save(large, expected_version=1)
    assert saved.load() == ring


def test_save_that_fails_leaves_the_former_ring(
    saved: FileKeyStore,
    folder: Path,
    ring: KeyRing,
    following: KeyRing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And no copy of the new keys."""

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, ExitStack() as stack:
        patched.setattr(os, "fsync", full)
        stack.enter_context(pytest.raises(KeyStoreError, match="can't be written: No space left"))
        saved.save(following, expected_version=1)
    assert saved.load() == ring
    assert {path.name for path in folder.iterdir()} == {"ring.json", "ring.lock"}


def test_save_removes_what_a_dead_process_left(
    saved: FileKeyStore, folder: Path, following: KeyRing
) -> None:
    """It may hold a key that has been compromised since."""
    (folder / ".ring-left").write_text("private")
    saved.save(following, expected_version=1)
    assert not (folder / ".ring-left").exists()


def test_stamp_changes_with_the_ring(saved: FileKeyStore, following: KeyRing) -> None:
    """And only then."""
    stamps = [saved.stamp()]
    assert stamps == [saved.stamp()] != [None]
    for _ in range(2):  # the second is as long as the first
        saved.save(replace(following, version=1), expected_version=1)
        stamps.append(saved.stamp())
    assert len(set(stamps)) == 3


@pytest.mark.parametrize(("path", "ids"), [("keys", ["jwt_auth.E079"]), ("/srv/keys", [])])
def test_relative_path_is_an_error(path: str, ids: list[str]) -> None:
    """A command that runs in another folder would make another ring."""
    assert [message.id for message in FileKeyStore(PATH=path).check()] == ids


def test_store_of_a_project_needs_no_checks() -> None:
    """It may leave the method out."""
    assert KeyStore.check(FileKeyStore(PATH="keys")) == []


def test_file_in_place_of_the_folder_is_told_without_advice(tmp_path: Path) -> None:
    """Neither another owner nor another store would help."""
    file = tmp_path / "keys"
    file.touch(mode=0o600)
    with pytest.raises(KeyStoreError, match=r"ring\.json can't be read: Not a directory\.$"):
        FileKeyStore(PATH=file).load()
