"""The file store: private, whole, and one writer at a time."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from jwt_auth.exceptions import (
    KeyRingConflict,
    KeyRingExists,
    KeyRingMissing,
    KeyRingTorn,
    KeyStoreError,
    KeyStoreExposed,
)
from jwt_auth.keys import jwk
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores import file
from jwt_auth.keys.stores.file import FileKeyStore


@pytest.fixture
def store(folder: Path) -> FileKeyStore:
    return FileKeyStore(PATH=folder)


@pytest.fixture
def saved(store: FileKeyStore, ring: KeyRing) -> FileKeyStore:
    """The store with a ring in it."""
    store.save(ring, expected_version=None)
    return store


@pytest.fixture
def following(ring: KeyRing, now: datetime) -> KeyRing:
    return ring.with_next_key(jwk.generate("ES256"), now, now, timedelta(minutes=16))


@pytest.fixture
def ordinary_user(monkeypatch: pytest.MonkeyPatch, folder: Path) -> int:
    """Have the process believe that it is another user than the files' owner, and not root."""
    uid = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    return uid


@pytest.fixture(autouse=True)
def _any_umask() -> Iterator[None]:
    """A umask that would let everybody read."""
    former = os.umask(0)
    yield
    os.umask(former)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_saved_ring_is_loaded(saved: FileKeyStore, ring: KeyRing) -> None:
    """The same ring comes back."""
    assert saved.load() == ring


def test_saved_files_are_private_whatever_the_umask(saved: FileKeyStore, folder: Path) -> None:
    """Only the owner gets in, and only the owner reads."""
    assert mode(folder) == 0o700
    assert {path.name: mode(path) for path in folder.iterdir()} == {
        "ring.json": 0o600,
        "ring.lock": 0o600,
    }


def test_missing_ring_says_what_to_run(store: FileKeyStore, folder: Path) -> None:
    """Without the folder and without the file."""
    for _ in range(2):
        with pytest.raises(KeyRingMissing, match=r"ring\.json: run `manage\.py generate_keys`"):
            store.load()
        folder.mkdir(mode=0o700, exist_ok=True)


@pytest.mark.parametrize("open_to", [0o740, 0o720, 0o710, 0o704, 0o702, 0o701])
def test_folder_that_others_can_use_is_refused(
    saved: FileKeyStore, folder: Path, following: KeyRing, open_to: int
) -> None:
    """For reading and for writing, with the command that closes it; its mode is left alone."""
    folder.chmod(open_to)
    with pytest.raises(KeyStoreExposed, match=f"chmod 700 {folder}"):
        saved.load()
    with pytest.raises(KeyStoreExposed, match=f"chmod 700 {folder}"):
        saved.save(following, expected_version=1)
    assert mode(folder) == open_to


@pytest.mark.parametrize("open_to", [0o640, 0o620, 0o604, 0o602])
def test_file_that_others_can_use_is_refused(
    saved: FileKeyStore, folder: Path, following: KeyRing, open_to: int
) -> None:
    """The folder may have been open before."""
    (folder / "ring.json").chmod(open_to)
    with pytest.raises(KeyStoreExposed, match=f"chmod 600 {folder}/ring.json"):
        saved.load()
    with pytest.raises(KeyStoreExposed, match="chmod 600"):
        saved.save(following, expected_version=1)


def test_file_of_another_user_is_refused(saved: FileKeyStore, ordinary_user: int) -> None:
    """Its owner could replace it."""
    with pytest.raises(KeyStoreExposed, match=f"another user .*chown {ordinary_user}"):
        saved.load()


def test_root_reads_the_ring_of_another_user(
    saved: FileKeyStore, monkeypatch: pytest.MonkeyPatch, ring: KeyRing
) -> None:
    """Who may do anything is not in the way of an operator's `list_keys`."""
    status = os.stat_result((0o600, 0, 0, 1, 4711, 4711, 0, 0, 0, 0))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    file._require_private(Path("ring.json"), status, "600")


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
    monkeypatch.setattr(file, "_require_private", lambda *args: None)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    monkeypatch.setattr(os, "fchown", lambda *args: pytest.fail("fchown"))
    store.save(ring, expected_version=None)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'{"format": 1, "vers'])
def test_torn_file_says_where_it_lies(saved: FileKeyStore, folder: Path, content: bytes) -> None:
    """Half a file or somebody else's."""
    (folder / "ring.json").write_bytes(content)
    with pytest.raises(KeyRingTorn, match=f"{folder}/ring.json: The"):
        saved.load()


def test_unreadable_file_is_a_store_error(saved: FileKeyStore, folder: Path) -> None:
    """Whatever the system says is passed on, in one sentence."""
    (folder / "ring.json").unlink()
    (folder / "ring.json").mkdir(mode=0o700)
    with pytest.raises(KeyStoreError, match=r"can't be read: Is a directory\."):
        saved.load()


def test_file_in_the_folders_place_is_a_store_error(store: FileKeyStore, folder: Path) -> None:
    """PATH names a folder."""
    folder.touch(mode=0o600)
    with pytest.raises(KeyStoreError, match="Not a directory"):
        store.load()


def test_loop_of_links_is_a_store_error(store: FileKeyStore, folder: Path) -> None:
    """On every Python, which say it differently."""
    folder.mkdir(mode=0o700)
    (folder / "ring.json").symlink_to(folder / "ring.json")
    with pytest.raises(KeyStoreError, match="symbolic links"):
        store.load()


def test_linked_ring_stays_a_link(saved: FileKeyStore, folder: Path, following: KeyRing) -> None:
    """The ring may really lie elsewhere; a save replaces it there."""
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (folder / "ring.json").rename(elsewhere / "real.json")
    (folder / "ring.json").symlink_to(elsewhere / "real.json")
    saved.save(following, expected_version=1)
    assert (folder / "ring.json").is_symlink()
    assert KeyRing.from_json((elsewhere / "real.json").read_text()) == following


def test_link_into_an_open_folder_is_refused(saved: FileKeyStore, folder: Path) -> None:
    """Who can write there can replace the ring."""
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    (folder / "ring.json").rename(elsewhere / "real.json")
    (folder / "ring.json").symlink_to(elsewhere / "real.json")
    with pytest.raises(KeyStoreExposed, match=f"chmod 700 {elsewhere}"):
        saved.load()


def test_link_in_an_open_folder_is_refused(saved: FileKeyStore, folder: Path) -> None:
    """Who can write there can link to another ring, however private the real one is."""
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (folder / "ring.json").rename(elsewhere / "real.json")
    (folder / "ring.json").symlink_to(elsewhere / "real.json")
    folder.chmod(0o777)
    with pytest.raises(KeyStoreExposed, match=f"chmod 700 {folder}"):
        saved.load()


def test_link_into_the_folder_of_another_user_is_refused(
    saved: FileKeyStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the folder's owner could have root overwrite any file."""
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (folder / "ring.json").rename(elsewhere / "real.json")
    (folder / "ring.json").symlink_to(elsewhere / "real.json")
    real = Path.stat

    def stat_of(path: Path, **options: bool) -> os.stat_result:
        status = real(path, **options)
        if path == elsewhere:
            return os.stat_result((*status[:4], status.st_uid + 1, *status[5:]))
        return status

    monkeypatch.setattr(Path, "stat", stat_of)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(KeyStoreExposed, match="folder of another user"):
        saved.load()


def test_save_over_another_version_is_a_conflict(
    saved: FileKeyStore, ring: KeyRing, following: KeyRing
) -> None:
    """Somebody was faster, and keeps the word."""
    saved.save(following, expected_version=1)
    with pytest.raises(KeyRingConflict):
        saved.save(following, expected_version=1)
    with pytest.raises(KeyRingExists):
        saved.save(ring, expected_version=None)
    assert saved.load() == following


def test_save_over_a_ring_that_is_gone_is_a_conflict(
    store: FileKeyStore, following: KeyRing
) -> None:
    """Nothing is brought back."""
    with pytest.raises(KeyRingConflict):
        store.save(following, expected_version=1)


def test_of_many_simultaneous_saves_one_wins(
    saved: FileKeyStore, folder: Path, following: KeyRing
) -> None:
    """The comparison and the exchange are one step."""
    outcomes: list[str] = []
    start = threading.Barrier(8)

    def save() -> None:
        start.wait()
        try:
            FileKeyStore(PATH=folder).save(following, expected_version=1)
        except KeyRingConflict:
            outcomes.append("conflict")
        else:
            outcomes.append("saved")

    threads = [threading.Thread(target=save) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["conflict"] * 7 + ["saved"]


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


def test_missing_ring_has_no_stamp(store: FileKeyStore) -> None:
    """Nothing to compare."""
    assert store.stamp() is None


def test_describe_is_the_path(store: FileKeyStore, folder: Path) -> None:
    """What an operator looks for."""
    assert store.describe() == str(folder / "ring.json")
