"""RSA keys that libraries accept and nobody should."""

from __future__ import annotations

from typing import Final

from jwt_auth.exceptions import InvalidKey

#: Smallest modulus in bits (RFC 7518 §3.3, §3.5).
MIN_RSA_BITS: Final = 2048

_GENERATOR: Final = 65537
_PRIMES: Final = tuple(n for n in range(3, 168) if all(n % m for m in range(2, n)))
_POWERS: Final = {p: frozenset(pow(_GENERATOR, i, p) for i in range(p - 1)) for p in _PRIMES}


def refuse_weak_rsa(modulus: int, exponent: int) -> None:
    """Raise :class:`InvalidKey` for a key that can be factored or that encrypts to nothing."""
    if modulus.bit_length() < MIN_RSA_BITS:
        raise InvalidKey(f"An RSA key of under {MIN_RSA_BITS} bits is too weak.")
    if exponent <= 1 or exponent % 2 == 0:
        raise InvalidKey("The public exponent of an RSA key must be odd and over 1.")
    if has_roca_fingerprint(modulus):
        raise InvalidKey(
            "The RSA key comes from a generator that is broken (ROCA, CVE-2017-15361)."
        )


def has_roca_fingerprint(modulus: int) -> bool:
    """True where the modulus is a power of 65537 modulo every small prime.

    Every modulus of the broken generator is; of all others one in some 2^27. The test is from
    Nemec, Sys, Svenda, Klinec and Matyas, "The Return of Coppersmith's Attack" (ACM CCS 2017), §2.
    """
    return all(modulus % prime in powers for prime, powers in _POWERS.items())
