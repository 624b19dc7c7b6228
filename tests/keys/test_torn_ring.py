"""What an operator reads when the stored ring can't be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from jwt_auth.exceptions import KeyRingTooNew, KeyRingTorn
from jwt_auth.keys.stores.file import FileKeyStore


def store_holding(folder: Path, text: str) -> FileKeyStore:
    """Make a store whose file has this text."""
    folder.chmod(0o700)
    (folder / "ring.json").touch(mode=0o600)
    (folder / "ring.json").write_text(text)
    return FileKeyStore(str(folder))


def test_torn_ring_names_the_way_out(tmp_path: Path) -> None:
    """The text says to restore it, and with which command to begin anew."""
    with pytest.raises(KeyRingTorn, match=r"backup.*`manage\.py generate_keys`"):
        store_holding(tmp_path, '{"format": 1').load()


def test_ring_of_a_newer_version_is_not_to_be_thrown_away(tmp_path: Path) -> None:
    """It is whole: the text says to upgrade, and nothing of a new ring."""
    with pytest.raises(KeyRingTooNew, match="upgrade jwt_auth") as too_new:
        store_holding(tmp_path, '{"format": 2}').load()
    assert "generate_keys" not in str(too_new.value)
