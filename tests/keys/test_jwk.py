"""JWKs against the RFCs' own examples, and against what must not be taken for a key."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from jwt.algorithms import RSAAlgorithm

from jwt_auth.conf import ALGORITHMS
from jwt_auth.encoding import base64url_decode, base64url_encode
from jwt_auth.exceptions import InvalidKey
from jwt_auth.keys import jwk
from jwt_auth.keys.jwk_format import is_same_key

ASYMMETRIC = [name for name in ALGORITHMS if name != "HS256"]

#: RFC 7638 §3.1.
RFC7638_MODULUS = (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJEC"
    "PebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY3"
    "68QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4l"
    "Fd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
)
RFC7638 = {"kty": "RSA", "n": RFC7638_MODULUS, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}

#: RFC 8037 appendix A.1.
RFC8037 = {
    "kty": "OKP",
    "crv": "Ed25519",
    "alg": "EdDSA",
    "kid": "rfc8037",
    "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}

#: RFC 7515 appendix A.3.
RFC7515 = {
    "kty": "EC",
    "crv": "P-256",
    "alg": "ES256",
    "kid": "rfc7515",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
}

#: Primes, so that they divide no order of a group but by a miracle.
EXPONENT_OF_33_BITS = 2**32 + 15
EXPONENT_OF_65_BITS = 2**64 + 13

PEM = b"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQ==\n-----END PUBLIC KEY-----\n"
SECRET = {"kty": "oct", "alg": "HS256", "kid": "secret", "k": base64url_encode(b"s" * 32)}


@cache
def generated(algorithm: str) -> dict[str, Any]:
    return jwk.generate(algorithm)


def without(members: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in members.items() if name not in names}


@cache
def with_exponent(exponent: int, bits: int = 4096) -> RSAPrivateKey:
    """A sound RSA key with that public exponent; the one at hand makes 3 and 65537 only."""
    numbers = rsa.generate_private_key(public_exponent=65537, key_size=bits).private_numbers()
    p, q = numbers.p, numbers.q
    d = pow(exponent, -1, (p - 1) * (q - 1))
    dmp1, dmq1 = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q)
    public = rsa.RSAPublicNumbers(exponent, p * q)
    iqmp = rsa.rsa_crt_iqmp(p, q)
    return rsa.RSAPrivateNumbers(p, q, d, dmp1, dmq1, iqmp, public).private_key()


def rsa_jwk(bits: int, *, exponent: int = 65537) -> dict[str, Any]:
    members = RSAAlgorithm.to_jwk(with_exponent(exponent, bits), as_dict=True)
    return {**members, "alg": "RS256", "kid": "k"}


def refuse(prepare: Any, members: dict[str, Any], reason: str) -> None:
    """Expect the refusal, and nothing of the key in it."""
    with pytest.raises(InvalidKey, match=reason) as refusal:
        prepare(members)
    text = f"{refusal.value!r} {refusal.value.__cause__!r}"
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None
    material = [members.get(name) for name in ("n", "e", "x", "y", "d", "k", "p", "q")]
    assert not any(value in text for value in material if isinstance(value, str) and len(value) > 8)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_generated_key_signs_what_it_verifies(algorithm: str) -> None:
    """A new key's two halves belong together, and to no other message."""
    signing = jwk.prepare_signing_key(generated(algorithm))
    verification = jwk.prepare_verification_key(generated(algorithm))
    signature = signing.sign(b"message")
    assert signing.kid == verification.kid
    assert verification.verify(b"message", signature)
    assert not verification.verify(b"massage", signature)
    assert not verification.verify(b"message", b"")


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_generated_key_names_itself(algorithm: str) -> None:
    """Its kid is its thumbprint, and it says what it is for."""
    members = generated(algorithm)
    assert members["kid"] == jwk.thumbprint(members)
    assert (members["alg"], members["use"]) == (algorithm, "sig")


def test_generated_kid_is_no_option(monkeypatch: pytest.MonkeyPatch) -> None:
    """`rotate_keys --compromised KID` is typed at night, and must take every kid as it stands."""
    made = iter([{"kid": "-x"}, {"kid": "x-"}])
    monkeypatch.setattr(jwk, "_generate", lambda algorithm: next(made))
    assert jwk.generate("ES256") == {"kid": "x-"}


@pytest.mark.parametrize("algorithm", ["PS256", "RS256"])
def test_generated_rsa_key_is_of_3072_bits(algorithm: str) -> None:
    """New RSA keys are longer than the shortest that are accepted."""
    members = generated(algorithm)
    modulus = int.from_bytes(base64url_decode(members["n"]), "big")
    assert (modulus.bit_length(), members["e"]) == (3072, "AQAB")


def test_generated_secret_has_a_random_kid() -> None:
    """A thumbprint of a secret would give every reader of a token a hash to guess by."""
    first, second = jwk.generate("HS256"), jwk.generate("HS256")
    assert first["kid"] != second["kid"]
    assert len(base64url_decode(first["k"])) == 32
    refuse(jwk.thumbprint, first, "thumbprint")


def test_unknown_algorithm_makes_no_key() -> None:
    """Neither `none` nor anything else outside the list is an algorithm."""
    for algorithm in ("none", "ES512", ""):
        with pytest.raises(InvalidKey, match="one of ES256"):
            jwk.generate(algorithm)


def test_thumbprint_is_that_of_rfc_7638() -> None:
    """§3.1's example."""
    assert jwk.thumbprint(RFC7638) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_thumbprint_of_an_okp_key_is_that_of_rfc_8037() -> None:
    """Appendix A.3's example; the private part does not count."""
    assert jwk.thumbprint(RFC8037) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_ed25519_signature_is_that_of_rfc_8037() -> None:
    """Appendix A.4's example, signed and verified (A.5)."""
    message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
    expected = base64url_decode(
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    )
    assert jwk.prepare_signing_key(RFC8037).sign(message) == expected
    assert jwk.prepare_verification_key(without(RFC8037, "d")).verify(message, expected)


def test_es256_signature_of_rfc_7515_verifies() -> None:
    """Appendix A.3's example."""
    message = (
        b"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl"
        b"LmNvbS9pc19yb290Ijp0cnVlfQ"
    )
    signature = base64url_decode(
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    )
    key = jwk.prepare_verification_key(RFC7515)
    assert key.verify(message, signature)
    assert not key.verify(message, signature[:-1])


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_public_jwk_has_public_members_only(algorithm: str) -> None:
    """Nothing private, and nothing that somebody else added, is published."""
    published = jwk.public_jwk({**generated(algorithm), "note": "mine", "key_ops": ["sign"]})
    names = {"n", "e"} | {"x", "y", "crv"}
    assert published.keys() <= {"kty", "kid", "alg", "use"} | names
    assert jwk.prepare_verification_key(published) == jwk.prepare_verification_key(
        generated(algorithm)
    )


def test_public_jwk_of_a_secret_is_refused() -> None:
    """A secret has no public half."""
    refuse(jwk.public_jwk, SECRET, "published")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_repr_shows_no_material(algorithm: str) -> None:
    """What ends up in a log says which key, not the key."""
    for key in (
        jwk.prepare_signing_key(generated(algorithm)),
        jwk.prepare_verification_key(generated(algorithm)),
    ):
        name = type(key).__name__
        assert repr(key) == f"{name}(kid={key.kid!r}, algorithm={algorithm!r})"


def test_key_accepts_its_own_algorithm_only() -> None:
    """`Ed25519` is another name of an EdDSA key's algorithm (RFC 9864), and there are no others."""
    okp, ec = jwk.prepare_verification_key(RFC8037), jwk.prepare_verification_key(RFC7515)
    assert [name for name in (*ALGORITHMS, "Ed25519", "none") if okp.accepts(name)] == [
        "EdDSA",
        "Ed25519",
    ]
    assert [name for name in (*ALGORITHMS, "Ed25519", "none", "es256") if ec.accepts(name)] == [
        "ES256"
    ]


def test_rsa_key_of_2048_bits_is_accepted() -> None:
    """It is old but not broken; somebody else warns of it."""
    assert jwk.prepare_signing_key(rsa_jwk(2048)).algorithm == "RS256"


def test_rsa_key_under_2048_bits_is_refused() -> None:
    """RFC 7518 §3.3."""
    refuse(jwk.prepare_signing_key, rsa_jwk(1024), "2048 bits")
    refuse(jwk.prepare_verification_key, without(rsa_jwk(1024), "d", "key_ops"), "2048 bits")


def test_key_that_signs_what_it_can_not_verify_is_refused() -> None:
    """OpenSSL signs with an exponent of 65 bits and verifies nothing: each token would be a 401."""
    members = rsa_jwk(4096, exponent=EXPONENT_OF_65_BITS)
    refuse(jwk.prepare_signing_key, members, "does not verify")


@pytest.mark.parametrize("exponent", ["AQ", "Ag", "AQAA"])
def test_rsa_key_with_a_useless_exponent_is_refused(exponent: str) -> None:
    """With 1 everybody signs; an even one is no RSA key."""
    refuse(jwk.prepare_verification_key, RFC7638 | {"e": exponent}, "exponent")


@pytest.mark.parametrize(
    ("key", "change", "reason"),
    [
        (RFC7515, {"alg": "none"}, "one of ES256"),
        (RFC7515, {"alg": ["ES256"]}, "one of ES256"),
        (RFC7515, {"alg": "EdDSA"}, "kty OKP"),
        (RFC7515, {"alg": "HS256"}, "kty oct"),
        (RFC7638, {"alg": "HS256"}, "kty oct"),
        (RFC7515, {"crv": "P-384"}, "crv P-256"),
        (RFC8037, {"crv": "Ed448"}, "crv Ed25519"),
        (RFC7638, {"crv": "P-256"}, "crv None"),
        (RFC7515, {"use": "enc"}, "use"),
        (RFC7515, {"use": None}, "use"),
        (RFC7515, {"key_ops": ["encrypt"]}, "key_ops"),
        (RFC7515, {"key_ops": "verify"}, "key_ops"),
        (RFC7515, {"kid": ""}, "kid"),
        (RFC7515, {"kid": 7}, "kid"),
        (RFC7515, {"x": None}, "no member x"),
        (RFC7515, {"y": base64url_encode(b"\0" + b"1" * 32)}, "32 bytes"),
        (RFC7515, {"y": RFC7515["x"]}, "valid key"),
        (RFC7515, {"x": RFC7515["x"] + "="}, "canonical base64url"),
        (RFC7515, {"x": RFC7515["x"][:-1] + "V"}, "canonical base64url"),
        (RFC7515, {"x": RFC7515["x"][:-1] + "é"}, "canonical base64url"),
        (RFC8037, {"x": RFC8037["x"][:-4]}, "32 bytes"),
        (RFC7638, {"n": base64url_encode(b"\0" + base64url_decode(RFC7638_MODULUS))}, "number"),
        (RFC7638, {"e": ""}, "number"),
        (SECRET, {"k": base64url_encode(b"s" * 31)}, "32 bytes"),
        (SECRET, {"k": ""}, "valid key"),
        (SECRET, {"k": base64url_encode(PEM)}, "valid key"),
        (SECRET, {"key_ops": ["sign"]}, "key_ops"),
    ],
)
def test_malformed_key_is_refused(key: dict[str, Any], change: dict[str, Any], reason: str) -> None:
    """Each with its reason and without its material."""
    refuse(jwk.prepare_verification_key, key | change, reason)


@pytest.mark.parametrize(
    ("key", "change", "reason"),
    [
        (RFC7515, {"d": None}, "no member d"),
        (RFC7515, {"d": base64url_encode(b"7" * 32)}, "valid key|does not match"),
        (RFC7515, {"d": base64url_encode(b"7" * 31)}, "32 bytes"),
        (RFC7515, {"key_ops": ["verify"]}, "key_ops"),
        (RFC8037, {"d": base64url_encode(b"7" * 32)}, "valid key"),
        (SECRET, {"k": base64url_encode(b"s" * 31)}, "32 bytes"),
    ],
)
def test_key_that_can_not_sign_is_refused(
    key: dict[str, Any], change: dict[str, Any], reason: str
) -> None:
    """A private part that is missing, of another key, or not meant to sign."""
    refuse(jwk.prepare_signing_key, key | change, reason)


def test_private_part_of_another_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the libraries below look at, the two halves are compared."""
    other = jwk.prepare_signing_key(jwk.generate("ES256"))
    wanted = jwk._from_jwk

    def careless(algorithm: str, members: dict[str, Any]) -> Any:
        return other._key if "d" in members else wanted(algorithm, members)

    monkeypatch.setattr(jwk, "_from_jwk", careless)
    refuse(jwk.prepare_signing_key, RFC7515, "does not match")


def test_inconsistent_rsa_numbers_are_refused() -> None:
    """A modulus that is not the product of its primes."""
    key, other = generated("RS256"), generated("PS256")
    refuse(jwk.prepare_signing_key, key | {"n": other["n"]}, "valid key")
    refuse(jwk.prepare_signing_key, key | {"d": other["d"]}, "valid key")


def test_key_ops_of_a_private_key_let_its_public_half_verify() -> None:
    """RFC 7517 §4.3 names `sign` for the private key and `verify` for the public one."""
    assert jwk.prepare_verification_key(RFC7515 | {"key_ops": ["sign"]}).kid == "rfc7515"
    refuse(jwk.prepare_verification_key, without(RFC7515, "d") | {"key_ops": ["sign"]}, "key_ops")


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256", "HS256"])
def test_key_is_the_same_under_another_name_and_no_other_is(algorithm: str) -> None:
    """If one is compromised, so is the other; two keys of one kind have nothing to do with it."""
    key = generated(algorithm)
    other = generated("PS256") if algorithm == "RS256" else jwk.generate(algorithm)
    assert is_same_key(key, key | {"kid": "another", "use": "sig"})
    assert not is_same_key(key, other)


def test_thumbprint_of_a_malformed_key_is_refused() -> None:
    """No thumbprint of something that is no key."""
    refuse(jwk.thumbprint, {"kty": "EC"}, "no member x")
    refuse(jwk.thumbprint, {}, "EC, OKP and RSA")
