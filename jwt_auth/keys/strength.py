"""Weak keys and secrets that cryptographic libraries accept."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from jwt_auth.exceptions import InvalidKey

#: Smallest modulus in bits (RFC 7518 §3.3, §3.5).
MIN_RSA_BITS: Final = 2048

#: Longest public exponent in bits that Windows' CryptoAPI accepts. OpenSSL signs with longer ones,
#: but verifies with a large modulus only up to 64 bits (``OPENSSL_RSA_MAX_PUBEXP_BITS``).
MAX_EXPONENT_BITS: Final = 32

#: Of 32 random bytes some 30 are different, and of 32 random hexadecimal digits some 14. Fewer than
#: this occur once in some 10^7 secrets of such digits.
_MIN_DIFFERENT: Final = 8

#: Words of placeholders and sample settings. A random secret in base64 has one of them once in some
#: 10^7 times.
_TELLTALE: Final = ("secret", "passw", "change", "insecure", "example")

_GENERATOR: Final = 65537
_PRIMES: Final = tuple(n for n in range(3, 168) if all(n % m for m in range(2, n)))
_POWERS: Final = {p: frozenset(pow(_GENERATOR, i, p) for i in range(p - 1)) for p in _PRIMES}


def refuse_weak_rsa(modulus: int, exponent: int) -> None:
    """Raise :class:`InvalidKey` for a key that can be factored or whose exponent is useless."""
    if modulus.bit_length() < MIN_RSA_BITS:
        raise InvalidKey(f"An RSA key of under {MIN_RSA_BITS} bits is too weak.")
    if exponent <= 1 or exponent % 2 == 0:
        raise InvalidKey("The public exponent of an RSA key must be odd and over 1.")
    if has_roca_fingerprint(modulus):
        raise InvalidKey(
            "The RSA key comes from a generator that is broken (ROCA, CVE-2017-15361)."
        )


def refuse_long_exponent(exponent: int) -> None:
    """Raise :class:`InvalidKey` for an exponent that many verifiers can't work with."""
    if exponent.bit_length() > MAX_EXPONENT_BITS:
        raise InvalidKey(
            f"The public exponent of the RSA key has over {MAX_EXPONENT_BITS} bits, and many"
            " verifiers refuse that: make a key with the exponent 65537."
        )


def has_roca_fingerprint(modulus: int) -> bool:
    """True if the modulus is a power of 65537 modulo every small prime.

    Every modulus of the broken generator is; of all others one in some 2^27. The test is from
    Nemec, Sys, Svenda, Klinec and Matyas, "The Return of Coppersmith's Attack" (ACM CCS 2017), §2.
    """
    return all(modulus % prime in powers for prime, powers in _POWERS.items())


def refuse_weak_secret(secret: bytes) -> None:
    """Raise :class:`InvalidKey` for a secret that an attacker could guess from any one token.

    The length is judged elsewhere and is not enough: a repeated or counted-up text is as long.
    """
    steps = {(after - before) % 256 for before, after in pairwise(secret)}
    is_repeated = secret in (secret + secret)[1:-1]
    if is_repeated or min(len(set(secret)), len(steps)) < _MIN_DIFFERENT:
        raise InvalidKey("The secret repeats itself: make one with `manage.py generate_keys`.")
    text = secret.decode("latin-1").lower()
    if any(word in text for word in _TELLTALE):
        raise InvalidKey(
            "The secret looks like a placeholder: make one with `manage.py generate_keys`."
        )
