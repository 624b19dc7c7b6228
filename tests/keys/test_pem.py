"""Keys in PEM: what OpenSSL and its like write comes in, and goes out again the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from jwt_auth.exceptions import InvalidKey
from jwt_auth.keys import jwk
from jwt_auth.keys.pem import jwk_from_pem, jwk_to_pem, public_jwk_from_der

PKCS8, TRADITIONAL = PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL
PASSPHRASE = b"a passphrase of the test"

#: `openssl ecparam -name prime256v1 -genkey` writes this before the key.
EC_PARAMETERS = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"

#: It holds a public key.
CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

MAKERS: dict[str, Callable[[], Any]] = {
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "Ed448": ed448.Ed448PrivateKey.generate,
    "X25519": x25519.X25519PrivateKey.generate,
    "PS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "short": lambda: rsa.generate_private_key(public_exponent=65537, key_size=1024),
}


@cache
def key(name: str) -> Any:
    return MAKERS[name]()


def pem(
    name: str, form: PrivateFormat = PKCS8, encryption: KeySerializationEncryption | None = None
) -> bytes:
    text: bytes = key(name).private_bytes(Encoding.PEM, form, encryption or NoEncryption())
    return text


def public_pem(name: str) -> bytes:
    public = key(name).public_key()
    text: bytes = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return text


def refuse(text: bytes, reason: str, algorithm: str | None = None, **named: Any) -> None:
    """Expect the refusal, with nothing of the PEM or the passphrase in it."""
    with pytest.raises(InvalidKey, match=reason) as refusal:
        jwk_from_pem(text, algorithm=algorithm, **named)
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None
    shown = f"{refusal.value!r} {refusal.value.__cause__!r}"
    lines = [line for line in text.decode().splitlines() if len(line) > 16 and "-----" not in line]
    assert not any(line in shown for line in lines)
    assert PASSPHRASE.decode() not in shown


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "PS256", "RS256"])
def test_pkcs8_key_signs_as_the_original(algorithm: str) -> None:
    """What was read signs what the original's public key verifies; its kid is its thumbprint."""
    members = jwk_from_pem(pem(algorithm), algorithm=algorithm)
    signature = jwk.prepare_signing_key(members).sign(b"message")
    der = key(algorithm).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    public = public_jwk_from_der(der, algorithm=algorithm)
    assert jwk.prepare_verification_key(public).verify(b"message", signature)
    assert members["kid"] == jwk.thumbprint(public) == public["kid"]
    assert (members["alg"], members["use"]) == (algorithm, "sig")
    assert public == jwk.public_jwk(members)


def test_sec1_and_pkcs1_keys_are_read() -> None:
    """`BEGIN EC PRIVATE KEY` and `BEGIN RSA PRIVATE KEY` are the same keys in older clothes."""
    for name, algorithm in (("ES256", "ES256"), ("RS256", "RS256")):
        assert jwk_from_pem(pem(name, TRADITIONAL), algorithm=algorithm) == jwk_from_pem(
            pem(name), algorithm=algorithm
        )


@pytest.mark.parametrize("second", [pem("EdDSA"), pem("RS256", TRADITIONAL), pem("ES256")])
def test_two_private_keys_in_one_pem_are_refused(second: bytes) -> None:
    """Nobody would know which one was taken."""
    refuse(pem("ES256") + second, "There are 2 private keys in the PEM")


@pytest.mark.parametrize(
    "text", [pem("ES256") + public_pem("ES256"), EC_PARAMETERS + pem("ES256", TRADITIONAL)]
)
def test_what_is_beside_the_private_key_is_passed_over(text: bytes) -> None:
    """Some tools write both halves into one file, and OpenSSL the curve before the key."""
    assert jwk_from_pem(text, algorithm=None) == jwk_from_pem(pem("ES256"), algorithm=None)


@pytest.mark.parametrize("form", [PKCS8, TRADITIONAL])
@pytest.mark.parametrize("name", ["ES256", "RS256"])
def test_encrypted_key_opens_with_its_passphrase_only(name: str, form: PrivateFormat) -> None:
    """PBES2, and the form that OpenSSL had before."""
    text = pem(name, form, BestAvailableEncryption(PASSPHRASE))
    assert jwk_from_pem(text, algorithm=name, passphrase=PASSPHRASE) == jwk_from_pem(
        pem(name), algorithm=name
    )
    refuse(text, "passphrase is wrong", name, passphrase=b"another one")
    refuse(text, "give its passphrase", name)
    refuse(text, "give its passphrase", name, passphrase=b"")


def test_passphrase_of_an_open_key_is_refused() -> None:
    """Whoever gives one believes the file to be encrypted, and has to hear that it is not."""
    refuse(pem("ES256"), "not encrypted", passphrase=PASSPHRASE)


def test_algorithm_is_only_needed_where_there_is_a_choice() -> None:
    """P-256 and Ed25519 have one; for an RSA key nobody guesses."""
    assert jwk_from_pem(pem("ES256"), algorithm=None)["alg"] == "ES256"
    assert jwk_from_pem(pem("EdDSA"), algorithm=None)["alg"] == "EdDSA"
    refuse(pem("RS256"), "PS256 or RS256")


@pytest.mark.parametrize(
    ("name", "algorithm", "reason"),
    [
        ("ES256", "RS256", "can't be for RS256, only for ES256"),
        ("RS256", "ES256", "only for PS256 or RS256"),
        ("EdDSA", "HS256", "only for EdDSA"),
        ("ES256", "none", "can't be for none"),
        ("P-384", "ES256", "not on the curve P-256"),
        ("P-384", None, "not on the curve P-256"),
        ("secp256k1", "ES256", "not on the curve P-256"),
        ("Ed448", "EdDSA", "Ed25519"),
        ("X25519", "EdDSA", "Ed25519"),
        ("short", "RS256", "2048 bits"),
    ],
)
def test_key_that_does_not_fit_is_refused(name: str, algorithm: str | None, reason: str) -> None:
    """A curve, a kind or a size that no algorithm here has, or another than was asked for."""
    refuse(pem(name), reason, algorithm)


@pytest.mark.parametrize("text", [public_pem("ES256"), CERTIFICATE])
def test_public_key_is_refused_where_a_private_is_needed(text: bytes) -> None:
    """It could only verify."""
    refuse(text, "public key can't sign")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe",
        b"-----BEGIN PRIVATE KEY-----\nbm90IGEga2V5\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN PRIVATE KEY-----",
    ],
)
def test_what_is_no_pem_is_refused(text: bytes) -> None:
    """Torn, empty or something else."""
    with pytest.raises(InvalidKey, match="private key"):
        jwk_from_pem(text, algorithm="ES256")


def test_der_that_is_no_public_key_is_refused() -> None:
    """What a key service answers is judged, too."""
    with pytest.raises(InvalidKey, match="not a public key"):
        public_jwk_from_der(b"not a key", algorithm="ES256")
    der = key("P-384").public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(InvalidKey, match="P-256"):
        public_jwk_from_der(der, algorithm="ES256")


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "PS256"])
def test_private_pem_comes_back_the_same(algorithm: str) -> None:
    """Out and in again, open and encrypted."""
    members = jwk_from_pem(pem(algorithm), algorithm=algorithm)
    text = jwk_to_pem(members)
    assert load_pem_private_key(text, None).private_bytes(
        Encoding.PEM, PKCS8, NoEncryption()
    ) == pem(algorithm)
    encrypted = jwk_to_pem(members, passphrase=PASSPHRASE)
    assert encrypted.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert jwk_from_pem(encrypted, algorithm=algorithm, passphrase=PASSPHRASE) == members


def test_public_pem_holds_the_public_key() -> None:
    """A public JWK is written as SubjectPublicKeyInfo."""
    members = jwk.public_jwk(jwk_from_pem(pem("ES256"), algorithm=None))
    assert jwk_to_pem(members) == public_pem("ES256")
    assert load_pem_public_key(jwk_to_pem(members)) == key("ES256").public_key()


def test_secret_has_no_pem() -> None:
    """PEM has no form for one."""
    with pytest.raises(InvalidKey, match="format jwk"):
        jwk_to_pem(jwk.generate("HS256"))


def test_empty_passphrase_protects_nothing() -> None:
    """A variable that is set to nothing must not look like encryption."""
    with pytest.raises(InvalidKey, match="empty"):
        jwk_to_pem(jwk.generate("ES256"), passphrase=b"")
