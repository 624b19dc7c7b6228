"""The ROCA fingerprint, on a modulus of the shape that the broken generator makes."""

from __future__ import annotations

from math import prod

import pytest

from jwt_auth.encoding import base64url_encode
from jwt_auth.exceptions import InvalidKey
from jwt_auth.keys import jwk
from jwt_auth.keys.strength import has_roca_fingerprint
from tests.keys.test_jwk import generated

PRIMES = [n for n in range(3, 168) if all(n % m for m in range(2, n))]


def roca_modulus(bits: int = 2048) -> int:
    """A number that is a power of 65537 modulo each prime up to 167 (equation 1 of the paper)."""
    product = prod(PRIMES)
    remainder = pow(65537, 1234567, product)
    modulus = (1 << (bits - 1)) // product * product + product + remainder
    return modulus if modulus % 2 else modulus + product


def test_roca_modulus_is_refused() -> None:
    """Whoever sees such a public key can factor it."""
    modulus = roca_modulus()
    key = {"kty": "RSA", "alg": "RS256", "kid": "k", "e": "AQAB"}
    with pytest.raises(InvalidKey, match="ROCA"):
        jwk.prepare_verification_key(key | {"n": base64url_encode(modulus.to_bytes(256, "big"))})


def test_other_moduli_are_not_taken_for_roca() -> None:
    """One residue that is no power of 65537 acquits."""
    assert has_roca_fingerprint(roca_modulus())
    assert not has_roca_fingerprint(roca_modulus() + 2)
    jwk.prepare_verification_key(generated("RS256"))
