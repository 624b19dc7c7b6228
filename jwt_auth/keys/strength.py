"""Keys and secrets that libraries accept and nobody should."""

from __future__ import annotations

from itertools import pairwise
from math import log2
from typing import Final

from jwt_auth.exceptions import InvalidKey

#: Smallest modulus in bits (RFC 7518 §3.3, §3.5).
MIN_RSA_BITS: Final = 2048

#: Longest public exponent, as Windows' CryptoAPI takes it. OpenSSL makes and signs with any, and
#: with a large modulus verifies only up to 64 bits (``OPENSSL_RSA_MAX_PUBEXP_BITS``).
MAX_EXPONENT_BITS: Final = 32

#: NIST SP 800-57 part 1 rev. 5, table 4: nothing under it is for use now.
MIN_SECRET_BITS: Final = 128

#: Letters per hundred in English (Lewand, "Cryptological Mathematics", 2000, p. 36).
_FREQUENCY: Final = dict(
    zip(
        "etaoinshrdlcumwfgypbvkjxqz",
        (
            *(12.702, 9.056, 8.167, 7.507, 6.966, 6.749, 6.327, 6.094, 5.987, 4.253, 4.025, 2.782),
            *(2.758, 2.406, 2.360, 2.228, 2.015, 1.974, 1.929, 1.492, 0.978, 0.772, 0.153, 0.150),
            *(0.095, 0.074),
        ),
        strict=True,
    )
)

#: Of placeholders and of what people call it; in a random secret each is one in some million.
_TELLTALE: Final = ("secret", "passw", "change", "insecure", "example")

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


def refuse_long_exponent(exponent: int) -> None:
    """Raise :class:`InvalidKey` for an exponent that many verifiers can't work with."""
    if exponent.bit_length() > MAX_EXPONENT_BITS:
        raise InvalidKey(
            f"The public exponent of the RSA key has over {MAX_EXPONENT_BITS} bits, and many"
            " verifiers refuse that: make a key with the exponent 65537."
        )


def has_roca_fingerprint(modulus: int) -> bool:
    """True where the modulus is a power of 65537 modulo every small prime.

    Every modulus of the broken generator is; of all others one in some 2^27. The test is from
    Nemec, Sys, Svenda, Klinec and Matyas, "The Return of Coppersmith's Attack" (ACM CCS 2017), §2.
    """
    return all(modulus % prime in powers for prime, powers in _POWERS.items())


def refuse_weak_secret(secret: bytes) -> None:
    """Raise :class:`InvalidKey` for a secret that somebody could guess from any one token.

    The length alone does not say it: a sentence has as many bytes as random ones have.
    """
    if _upper_bits(secret) < MIN_SECRET_BITS or secret in (secret + secret)[1:-1]:
        raise InvalidKey("The secret repeats itself: make one with `manage.py generate_keys`.")
    if _is_prose(secret):
        raise InvalidKey("The secret is made of words: make one with `manage.py generate_keys`.")


def _upper_bits(secret: bytes) -> float:
    """More bits than the secret can have, by how many different bytes and steps it has.

    Of 32 random bytes some 30 are different, and so are the steps from each to the next: 157 bits.
    """
    steps = {(after - before) % 256 for before, after in pairwise(secret)}
    return len(secret) * log2(min(len(set(secret)), len(steps)))


def _is_prose(secret: bytes) -> bool:
    """True where a telltale word is in it, or letters are most of it and as frequent as in English.

    Random letters score -0.9 on average and words +0.5: of random base64 one secret in some five
    thousand is refused, too, which costs its owner another try.
    """
    text = secret.decode("latin-1").lower()
    if any(word in text for word in _TELLTALE):
        return True
    letters = [letter for letter in text if letter in _FREQUENCY]
    if 3 * len(letters) < 2 * len(text):
        return False
    return sum(log2(26 * _FREQUENCY[letter] / 100) for letter in letters) > 0.2 * len(letters)
