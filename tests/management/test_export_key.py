"""``export_key``: the public half to whoever asks, the private one only with care."""

from __future__ import annotations

import json
import os
import resource
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import OutputWrapper
from pytest_django import Settings

from jwt_auth import signals
from jwt_auth.keys import jwk
from jwt_auth.keys.pem import jwk_from_pem, jwk_to_pem
from jwt_auth.keys.stores.base import get_key_store
from jwt_auth.keys.stores.file import FileKeyStore
from jwt_auth.management.key_files import write_key
from tests.keys.frames import pem_mark, shown_of
from tests.management.commands import output_of

PASSPHRASE = "a passphrase of the test"
VARIABLE = "--passphrase-variable=KEY_PASSPHRASE"


@pytest.fixture(autouse=True)
def _first_key(file_store: FileKeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ring with a key, and the passphrase's variable."""
    call_command("generate_keys", verbosity=0)
    monkeypatch.setenv("KEY_PASSPHRASE", PASSPHRASE)


@pytest.fixture
def members() -> dict[str, Any]:
    """The private JWK in the ring."""
    return get_key_store().load().keys[0].jwk


@pytest.fixture
def exported() -> Iterator[list[str]]:
    """The kids whose private part was given out, by the events."""
    kids: list[str] = []

    def receive(*, event: str, kid: str, **kwargs: Any) -> None:
        if event == "exported":
            kids.append(kid)

    signals.key_event.connect(receive)
    yield kids
    signals.key_event.disconnect(receive)


def run(*args: str) -> str:
    return output_of("export_key", *args)


def refuse(*args: str, match: str) -> None:
    with pytest.raises(CommandError, match=match):
        call_command("export_key", *args)


def test_public_key_is_the_default(members: dict[str, Any], exported: list[str]) -> None:
    """As PEM, and as JWK; it is no secret, and no event."""
    public = jwk.public_jwk(members)
    assert run(members["kid"]).encode() == jwk_to_pem(public)
    assert json.loads(run(members["kid"], "--format=jwk", "--public")) == public
    assert exported == []


def test_private_pem_is_encrypted(members: dict[str, Any], exported: list[str]) -> None:
    """With the passphrase of the variable; that it went out is an event."""
    text = run(members["kid"], "--private", VARIABLE).encode()
    assert text.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    read = jwk_from_pem(text, algorithm="ES256", passphrase=PASSPHRASE.encode())
    assert read == members
    assert exported == [members["kid"]]


def test_passphrase_may_be_any_bytes(
    members: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a terminal with another encoding gives them."""
    monkeypatch.setitem(os.environb, b"KEY_PASSPHRASE", b"\xff\xfe")
    text = run(members["kid"], "--private", VARIABLE).encode()
    assert jwk_from_pem(text, algorithm="ES256", passphrase=b"\xff\xfe") == members


def test_passphrase_that_is_too_long_is_refused(
    members: dict[str, Any], exported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL has a limit."""
    monkeypatch.setenv("KEY_PASSPHRASE", "x" * 1024)
    refuse(members["kid"], "--private", VARIABLE, match="1023")
    assert exported == []


def test_private_key_goes_out_open_where_that_is_said(members: dict[str, Any]) -> None:
    """Both forms, and only by the word."""
    args = (members["kid"], "--private", "--unencrypted")
    assert run(*args).encode() == jwk_to_pem(members)
    assert json.loads(run(*args, "--format=jwk")) == members
    refuse(
        members["kid"],
        "--private",
        match="--passphrase-variable NAME to encrypt it, or --unencrypted",
    )


def test_private_file_is_its_owners_alone(tmp_path: Path, members: dict[str, Any]) -> None:
    """Whatever the umask is; and no file is written over."""
    output = tmp_path / "key.pem"
    call_command("export_key", members["kid"], "--private", VARIABLE, f"--output={output}")
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    content = output.read_bytes()
    refuse(members["kid"], "--private", "--unencrypted", f"--output={output}", match="already")
    assert output.read_bytes() == content


def test_file_that_could_not_be_written_whole_is_not_in_the_way(tmp_path: Path) -> None:
    """The next attempt, with room on the disk, finds the name free."""
    name = str(tmp_path / "key.pem")
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, former[1]))
    try:
        with pytest.raises(CommandError, match="can't be written: File too large"):
            write_key(name, b"a private key", private=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
    write_key(name, b"a private key", private=True)
    assert Path(name).read_bytes() == b"a private key"


def test_file_that_can_not_be_written_is_named(tmp_path: Path, members: dict[str, Any]) -> None:
    """With what the system says."""
    refuse(members["kid"], f"--output={tmp_path}/nowhere/key.pem", match="No such file")


def test_private_key_is_not_shown_on_a_terminal(
    members: dict[str, Any], exported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would stay in the scroll-back; a file or a pipe is meant."""
    monkeypatch.setattr(OutputWrapper, "isatty", lambda self: True)
    refuse(members["kid"], "--private", "--unencrypted", match="terminal: give --output")
    assert exported == []
    call_command("export_key", members["kid"])


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_open_private_key_is_not_written_to_a_file_of_everybodys(
    tmp_path: Path, members: dict[str, Any], exported: list[str], mode: int
) -> None:
    """As a shell's `>` makes one; what is encrypted or public may stand there."""
    args = (members["kid"], "--private", "--unencrypted")
    path = tmp_path / "key.pem"
    with path.open("w") as file:
        path.chmod(mode)
        with pytest.raises(CommandError, match="give --output FILE"):
            call_command("export_key", *args, stdout=file)
        assert (file.tell(), exported) == (0, [])
        call_command("export_key", members["kid"], "--private", VARIABLE, stdout=file)
        call_command("export_key", members["kid"], stdout=file)
    assert path.read_text().count("-----BEGIN") == 2


def test_open_private_key_is_written_to_a_file_of_its_owners_or_a_pipe(
    tmp_path: Path, members: dict[str, Any]
) -> None:
    """Neither lets anybody else read."""
    args = (members["kid"], "--private", "--unencrypted")
    path = tmp_path / "key.pem"
    path.touch(mode=0o600)
    with path.open("w") as file:
        call_command("export_key", *args, stdout=file)
    assert path.read_bytes() == jwk_to_pem(members)
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe, os.fdopen(writing, "w") as file:
        call_command("export_key", *args, stdout=file)
        file.close()
        assert pipe.read() == jwk_to_pem(members)


def test_output_that_can_not_be_written_is_an_error_without_the_key(
    members: dict[str, Any],
) -> None:
    """In its text, and in what an error report shows."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as file:
        with pytest.raises(CommandError, match=r"output failed: Broken pipe\.") as broken:
            call_command("export_key", members["kid"], "--private", "--unencrypted", stdout=file)
        with suppress(BrokenPipeError):
            file.close()
    shown = shown_of(broken.value)
    assert not any(mark in text for text in shown for mark in (members["d"], *pem_mark(members)))


def test_unknown_kid_is_refused() -> None:
    """The text says where to look."""
    refuse("nothing", match="list_keys")


def test_secret_is_private_only() -> None:
    """It has no public half and no PEM."""
    call_command("rotate_keys", "--algorithm=HS256", "--now")
    secret = get_key_store().load().keys[-1].jwk
    refuse(secret["kid"], "--format=jwk", match="can't be published")
    refuse(secret["kid"], "--private", VARIABLE, match="format jwk")
    args = (secret["kid"], "--private", "--unencrypted", "--format=jwk")
    assert json.loads(run(*args)) == secret


@pytest.mark.parametrize(
    ("args", "match"),
    [
        (("--format=der",), "pem or jwk"),
        (("--unencrypted",), "public key is not encrypted"),
        ((VARIABLE,), "public key is not encrypted"),
        (("--private", "--unencrypted", VARIABLE), "how to write the private key"),
        (("--private", "--format=jwk", VARIABLE), "can't be encrypted"),
        (("--private", "--passphrase-variable=NOTHING"), "names is not set"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    args: tuple[str, ...], match: str, members: dict[str, Any]
) -> None:
    """Nothing is guessed about a private key."""
    refuse(members["kid"], *args, match=match)


def test_private_key_of_a_signer_can_not_be_exported(settings: Settings) -> None:
    """It never was here; the public half can."""
    settings.JWT_AUTH_KEY_SIGNER = {"BACKEND": "tests.keys.signers.LocalSigner"}
    call_command("rotate_keys", "--now")
    key = get_key_store().load().keys[-1]
    refuse(key.kid, "--private", "--unencrypted", match="never leaves local")
    assert json.loads(run(key.kid, "--format=jwk")) == key.jwk
