"""``import_key``: whoever comes with a key, and what becomes of it."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core.management import CommandError, call_command
from pytest_django import Settings

from jwt_auth.exceptions import KeyRingMissing
from jwt_auth.keys import jwk
from jwt_auth.keys.pem import jwk_to_pem
from jwt_auth.keys.ring import KeyRing, KeyState
from jwt_auth.keys.stores.base import get_key_store
from tests.keys.signers import REFERENCE, public_part
from tests.keys.test_jwk import EXPONENT_OF_65_BITS, generated, with_exponent, without
from tests.management.commands import output_of

pytestmark = pytest.mark.usefixtures("file_store")

PASSPHRASE = "a passphrase of the test"


def load() -> KeyRing:
    return get_key_store().load()


def written(tmp_path: Path, content: str | bytes, mode: int = 0o600) -> str:
    """Make a file of it, and give its name."""
    path = tmp_path / "key"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return str(path)


def run(*args: str) -> str:
    return output_of("import_key", *args)


def refuse(*args: str, match: str) -> None:
    """Expect the refusal, and the ring as it was."""
    before = (get_key_store().load()) if _has_ring() else None
    with pytest.raises(CommandError, match=match) as refusal:
        call_command("import_key", *args)
    assert PASSPHRASE not in str(refusal.value)
    assert (get_key_store().load() if _has_ring() else None) == before


def _has_ring() -> bool:
    return Path(get_key_store().describe()).exists()


def test_first_key_makes_the_ring_and_signs_at_once(tmp_path: Path) -> None:
    """There is nobody who could not know it yet."""
    file = written(tmp_path, jwk_to_pem(generated("ES256")))
    said = run(file)
    (key,) = load().keys
    assert key.jwk == generated("ES256")
    assert load().state_of(key, datetime.now(UTC)) is KeyState.SIGNING
    assert "signs at once" in said
    assert f"delete {file}" in said


def test_next_key_is_published_ahead(tmp_path: Path) -> None:
    """As the next one of `rotate_keys` is."""
    call_command("generate_keys", verbosity=0)
    said = run(written(tmp_path, jwk_to_pem(generated("EdDSA"))))
    first, second = load().keys
    assert load().state_of(second, datetime.now(UTC)) is KeyState.PUBLISHED
    assert first.expires_at is not None
    assert second.algorithm == "EdDSA"
    assert "signs from 20" in said
    assert "Running servers" not in said


def test_now_has_it_sign_at_once(tmp_path: Path) -> None:
    """And says when the servers follow."""
    call_command("generate_keys", verbosity=0)
    said = run(written(tmp_path, jwk_to_pem(generated("ES256"))), "--now")
    assert load().signing_key(datetime.now(UTC)).kid == generated("ES256")["kid"]
    assert "within 60 seconds" in said


def test_verbosity_0_says_nothing(tmp_path: Path) -> None:
    """For scripts."""
    assert run(written(tmp_path, jwk_to_pem(generated("ES256"))), "--verbosity=0") == ""


def test_jwk_keeps_its_kid(tmp_path: Path) -> None:
    """Verifiers out there may know it by that."""
    run(written(tmp_path, json.dumps(generated("PS256") | {"kid": "of-2019"})))
    assert load().keys[0].kid == "of-2019"


@pytest.mark.parametrize("form", ["pem", "jwk"])
def test_kid_can_be_given(form: str, tmp_path: Path) -> None:
    """Instead of the thumbprint or of the file's own."""
    content = jwk_to_pem(generated("ES256"))
    if form == "jwk":
        content = json.dumps(generated("HS256")).encode()
    run(written(tmp_path, content), "--kid=mine")
    assert load().keys[0].kid == "mine"


@pytest.mark.parametrize("kid", ["a" * 256, "k\u00e9y", "a\nb", "\ud800", ""])
@pytest.mark.parametrize("form", ["pem", "jwk"])
def test_kid_that_nothing_could_write_is_refused(form: str, kid: str, tmp_path: Path) -> None:
    """It would stand in headers, logs and on command lines."""
    if form == "jwk":
        content = json.dumps(generated("ES256") | {"kid": kid})
        refuse(written(tmp_path, content), "--now", match="kid")
    else:
        refuse(written(tmp_path, jwk_to_pem(generated("ES256"))), f"--kid={kid}", match="kid")
    with pytest.raises(KeyRingMissing):
        load()


def test_encrypted_pem_opens_with_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may lie where others can read it; the passphrase does the keeping."""
    pem = jwk_to_pem(generated("ES256"), passphrase=PASSPHRASE.encode())
    file = written(tmp_path, pem, mode=0o644)
    refuse(file, match="chmod 600")
    refuse(
        file, "--passphrase-variable=KEY_PASSPHRASE", match="--passphrase-variable names is not set"
    )
    monkeypatch.setenv("KEY_PASSPHRASE", "wrong")
    refuse(file, "--passphrase-variable=KEY_PASSPHRASE", match="passphrase is wrong")
    monkeypatch.setenv("KEY_PASSPHRASE", PASSPHRASE)
    run(file, "--passphrase-variable=KEY_PASSPHRASE")
    assert load().keys[0].jwk == generated("ES256")


def test_passphrase_of_a_jwk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever gives one believes the file to be encrypted."""
    monkeypatch.setenv("KEY_PASSPHRASE", PASSPHRASE)
    file = written(tmp_path, json.dumps(generated("ES256")))
    refuse(file, "--passphrase-variable=KEY_PASSPHRASE", match="never encrypted")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_file_that_others_can_open_is_refused(mode: int, tmp_path: Path) -> None:
    """They may have the key already."""
    refuse(written(tmp_path, jwk_to_pem(generated("ES256")), mode), match="chmod 600")


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that never was in a file, and so there is none to delete."""
    pem = io.BytesIO(jwk_to_pem(generated("ES256")))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(pem))
    assert "delete" not in run("-")
    assert load().keys[0].jwk == generated("ES256")


def test_kid_that_is_there_is_refused(tmp_path: Path) -> None:
    """One kid, one key."""
    file = written(tmp_path, jwk_to_pem(generated("ES256")))
    call_command("import_key", file, verbosity=0)
    refuse(file, "--now", match="has a key with this kid.*list_keys")


def test_second_key_waits_for_the_first_to_sign(tmp_path: Path) -> None:
    """As with `rotate_keys`; the text says how to go on."""
    call_command("generate_keys", verbosity=0)
    call_command("rotate_keys")
    refuse(written(tmp_path, jwk_to_pem(generated("ES256"))), match="rotate_keys --now")


@pytest.mark.parametrize(
    ("content", "args", "match"),
    [
        (jwk_to_pem(generated("PS256")), (), "PS256 or RS256"),
        (jwk_to_pem(generated("ES256")), ("--algorithm=RS256",), "can't be for RS256"),
        (jwk_to_pem(generated("ES256")), ("--algorithm=ES512",), "one of ES256"),
        (jwk_to_pem(generated("ES256")), ("--kid=",), "empty"),
        (jwk_to_pem(jwk.public_jwk(generated("ES256"))), (), "public key can't sign"),
        (json.dumps(without(generated("HS256"), "kid")).encode(), (), "needs a kid"),
        # The kid would be an option of `rotate_keys --compromised KID`.
        (json.dumps(generated("ES256") | {"kid": "-x"}).encode(), (), "another kid with --kid"),
        (b'{"kty": "oct", "kid": "a", "k": "c2VjcmV0"}', (), "32 bytes"),
        (b"nothing", (), "no private key"),
    ],
    # The keys are new in every run, and the names of the tests must not be.
    ids=["choice", "algorithm", "unknown", "kid", "public", "secret", "dash", "short", "nothing"],
)
def test_key_that_can_not_be_used_is_refused(
    content: bytes, args: tuple[str, ...], match: str, tmp_path: Path
) -> None:
    """With the reason, and no ring made."""
    refuse(written(tmp_path, content), *args, match=match)


def test_rsa_key_with_a_long_exponent_is_refused(tmp_path: Path) -> None:
    """It would sign at once, and every request would be a 401."""
    pem = with_exponent(EXPONENT_OF_65_BITS).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    for algorithm in ("RS256", "PS256"):
        refuse(written(tmp_path, pem), "--algorithm", algorithm, match="exponent 65537")


def test_file_that_is_larger_than_any_key_is_refused(tmp_path: Path) -> None:
    """Another key could stand past the end of what is read."""
    pem = jwk_to_pem(generated("ES256"))
    refuse(written(tmp_path, pem + b"\n" * 64 * 1024 + pem), match="larger than any key")


def test_file_that_is_as_large_as_may_be_is_read(tmp_path: Path) -> None:
    """To the byte."""
    pem = jwk_to_pem(generated("ES256"))
    call_command("import_key", written(tmp_path, pem.ljust(64 * 1024, b"\n")), verbosity=0)
    assert load().keys[0].jwk == generated("ES256")


def test_input_that_is_larger_than_any_key_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not read to its end: a pipe may have none."""
    pem = jwk_to_pem(generated("ES256"))
    sent = io.BytesIO(pem + b"\n" * 64 * 1024 + pem)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(sent))
    refuse("-", match="- is larger than any key")
    assert sent.tell() == 64 * 1024 + 1


def test_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """With what the system says."""
    refuse(str(tmp_path / "nothing"), match="file can't be read: No such file")


def test_key_of_a_signer_is_adopted(settings: Settings) -> None:
    """The ring gets its public part and who signs with it."""
    settings.JWT_AUTH_KEY_SIGNER = {"BACKEND": "tests.keys.signers.LocalSigner"}
    said = run("--signer-key=key-of-2019", "--kid=mine")
    (key,) = load().keys
    assert key.jwk == public_part("key-of-2019") | {"kid": "mine"}
    assert key.signer is not None
    assert (key.signer.backend, key.signer.key) == (REFERENCE.backend, "key-of-2019")
    assert "Key mine (ES256) signs at once." in said
    assert "delete" not in said


@pytest.mark.parametrize(
    ("args", "match"),
    [
        ((), "Give either a file"),
        (("-", "--signer-key=a"), "Give either a file"),
        (("--signer-key=a", "--passphrase-variable=X"), "no passphrase"),
        (("--signer-key=a",), "JWT_AUTH_KEY_SIGNER first"),
    ],
)
def test_options_that_make_no_sense_are_refused(args: tuple[Any, ...], match: str) -> None:
    """Nothing is guessed."""
    refuse(*args, match=match)
