"""The contract of a signer, the signer that the settings name, and the keys that it signs with.

The ring has the public part of such a key and a reference. A process that verifies never calls the
signer. Each signature is verified before it is used: a wrong key behind the reference, or a fault
of the signer, must not become tokens that every verifier refuses.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Final

from jwt_auth.backend_settings import BackendSetting
from jwt_auth.conf import conf
from jwt_auth.exceptions import InvalidKey, KeySignerError
from jwt_auth.forks import after_fork_in_child
from jwt_auth.keys import jwk as jwks
from jwt_auth.keys.jwk import JWK, SigningKey, VerificationKey
from jwt_auth.keys.ring import RingKey, SignerReference

logger: Final = logging.getLogger("jwt_auth")

#: The message that a signer signs before its key is used. It can't be taken for a token.
_TRIAL: Final = b"jwt_auth tries a key"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key for the ring: a private JWK, or a public one with the signer of its private part."""

    jwk: JWK = field(repr=False)
    signer: SignerReference | None = None


class SigningDenied(KeySignerError):
    """The signer denies this process a signature. Others may be allowed to sign."""


class KeySigner(ABC):
    """Signs with keys that never leave it. ``OPTIONS`` are the constructor's keyword arguments.

    Many threads use one signer at once.
    """

    #: The signer's name in the ring.
    name: ClassVar[str]

    #: The algorithms that it can have a key for.
    algorithms: ClassVar[frozenset[str]]

    @abstractmethod
    def sign(self, key: str, *, algorithm: str, message: bytes) -> bytes:
        """Return the signature over ``message`` in the form of a JWS (RFC 7515 §3).

        A request waits for it, so the time is bounded.

        Raises:
            KeySignerError: with the reason, and without the service's own message.
            SigningDenied: this process isn't allowed to sign.
        """

    @abstractmethod
    def create(self, algorithm: str) -> NewKey:
        """Make a key in the signer.

        Raises:
            KeySignerError: the signer failed or refused.
        """

    @abstractmethod
    def adopt(self, key: str, *, algorithm: str | None) -> NewKey:
        """Find a key that the signer has. ``None`` takes the key's algorithm, if it has only one.

        Raises:
            InvalidKey: the key does not fit.
            KeySignerError: the key is missing, or can't be used.
        """

    @abstractmethod
    def how_to_end(self, key: str) -> str:
        """Say in one or two sentences how to end a key that has left every ring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSigningKey:
    """A key that a signer signs with, used like :class:`jwt_auth.keys.jwk.SigningKey`."""

    kid: str
    algorithm: str
    signer: SignerReference
    verification: VerificationKey

    def sign(self, message: bytes) -> bytes:
        """Have the signer sign.

        Raises:
            KeySignerError: it failed, or signed with another key than the ring's.
        """
        signer = get_signer_of(self.signer)
        signature = signer.sign(self.signer.key, algorithm=self.algorithm, message=message)
        if not self.verification.verify(message, signature):
            raise KeySignerError(
                f"The signature of {signer.name} does not verify with key {self.kid}. Check that"
                f" {self.signer.key} is the key that the ring names, or rotate."
            )
        return signature


def prepare_ring_key(key: RingKey) -> SigningKey | RemoteSigningKey:
    """Prepare a key of the ring for signing. This doesn't call a signer.

    Raises:
        InvalidKey: with the reason.
    """
    if key.signer is None:
        return jwks.prepare_signing_key(key.jwk)
    return RemoteSigningKey(
        kid=key.kid,
        algorithm=key.algorithm,
        signer=key.signer,
        verification=jwks.prepare_verification_key(key.jwk),
    )


def make_key(algorithm: str) -> NewKey:
    """Make a key in the signer of ``JWT_AUTH_KEY_SIGNER``, or in this process without one.

    Raises:
        InvalidKey: the algorithm is unknown, or the signer can't have a key for it.
        KeySignerError: the signer failed or refused.
    """
    signer = find_key_signer()
    if signer is None:
        return NewKey(jwk=jwks.generate(algorithm))
    if algorithm not in signer.algorithms:
        names = ", ".join(sorted(signer.algorithms))
        raise InvalidKey(f"{signer.name} has no keys for {algorithm}, only for {names}.")
    return signer.create(algorithm)


def try_out(new: NewKey) -> None:
    """Have the signer of a new key sign once, before a ring gets the key.

    A key without a signer was tried when it was read. If only the servers are allowed to sign, the
    log says that the key was not tried: the servers verify each signature before they use it.

    Raises:
        KeySignerError: the signer failed, or signed with another key.
    """
    if new.signer is None:
        return
    verification = jwks.prepare_verification_key(new.jwk)
    key = RemoteSigningKey(
        kid=verification.kid,
        algorithm=verification.algorithm,
        signer=new.signer,
        verification=verification,
    )
    try:
        key.sign(_TRIAL)
    except SigningDenied as denied:
        logger.warning(
            "Key %s was not tried: %s Once it signs, run `manage.py check --deploy` as the server's"
            " user.",
            key.kid,
            denied,
        )


def get_signer_of(reference: SignerReference) -> KeySigner:
    """Return the signer that a key of the ring belongs to.

    Raises:
        KeySignerError: the settings name another signer, or none.
    """
    signer = find_key_signer()
    if signer is None or signer.name != reference.backend:
        raise KeySignerError(
            f"The signing key is in {reference.backend}: set JWT_AUTH_KEY_SIGNER to that signer."
        )
    return signer


def how_to_end(reference: SignerReference) -> str:
    """Say how to end a key that has left the ring. Until then the signer still signs with it."""
    try:
        return get_signer_of(reference).how_to_end(reference.key)
    except KeySignerError:
        return f"Disable {reference.key} in {reference.backend}, too."


_setting: Final = BackendSetting("JWT_AUTH_KEY_SIGNER", KeySigner)
# The parent's signer may have open connections, which two processes can't share.
after_fork_in_child(_setting.forget_instance)


def find_key_signer() -> KeySigner | None:
    """The signer that ``JWT_AUTH_KEY_SIGNER`` names, built once for each value of the setting.

    Raises:
        ImproperlyConfigured: the signer does not exist, or does not accept its options.
    """
    config = conf.key_signer
    return None if config is None else _setting.get_instance(config)
