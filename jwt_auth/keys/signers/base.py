"""The contract of a signer, the one that the settings name, and the keys that it signs with.

The ring has the public part of such a key and a reference; a process that verifies never asks the
signer. What a signer gives is verified before it is used: a wrong key behind the reference, or a
fault there, must not become tokens that everybody refuses.
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

#: What a signer signs before its key is used; no token.
_TRIAL: Final = b"jwt_auth tries a key"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key for the ring: a private JWK, or a public one and who signs with it."""

    jwk: JWK = field(repr=False)
    signer: SignerReference | None = None


class SigningDenied(KeySignerError):
    """This process may not sign, whoever else may."""


class KeySigner(ABC):
    """Signs with keys that never leave it. ``OPTIONS`` are the constructor's keyword arguments.

    Used by many threads at once.
    """

    #: What the ring calls this signer.
    name: ClassVar[str]

    #: Of the key's algorithms those that it can have a key for.
    algorithms: ClassVar[frozenset[str]]

    @abstractmethod
    def sign(self, key: str, *, algorithm: str, message: bytes) -> bytes:
        """Give the signature over ``message`` as a JWS has it (RFC 7515 §3).

        A request waits for it: the time that it may take is bounded.

        Raises:
            KeySignerError: with the reason, and without what the service said (``SigningDenied``:
                this process may not).
        """

    @abstractmethod
    def create(self, algorithm: str) -> NewKey:
        """Make a key there.

        Raises:
            KeySignerError: it can't.
        """

    @abstractmethod
    def adopt(self, key: str, *, algorithm: str | None) -> NewKey:
        """Find a key that is there already; ``algorithm`` may be ``None`` where there is one only.

        Raises:
            InvalidKey: it does not fit.
            KeySignerError: it is not there, or can't be used.
        """

    @abstractmethod
    def how_to_end(self, key: str) -> str:
        """Say in a sentence how to end a key that no ring has any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSigningKey:
    """A key that somebody else signs with; it looks like :class:`jwt_auth.keys.jwk.SigningKey`."""

    kid: str
    algorithm: str
    signer: SignerReference
    verification: VerificationKey

    def sign(self, message: bytes) -> bytes:
        """Have the signer sign.

        Raises:
            KeySignerError: it does not, or not with the key that the ring has.
        """
        signer = get_signer_of(self.signer)
        signature = signer.sign(self.signer.key, algorithm=self.algorithm, message=message)
        if not self.verification.verify(message, signature):
            raise KeySignerError(f"What {signer.name} signed does not verify with key {self.kid}.")
        return signature


def prepare_ring_key(key: RingKey) -> SigningKey | RemoteSigningKey:
    """Prepare a key of the ring for signing; nothing is asked of a signer yet.

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
    """Make a key where ``JWT_AUTH_KEY_SIGNER`` says, else here.

    Raises:
        InvalidKey: there is no such algorithm, or the signer has none.
        KeySignerError: the signer makes none.
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

    A key without a signer was tried when it was read. Where only the servers may sign, the log says
    that nothing was tried: they verify each signature before they use it.

    Raises:
        KeySignerError: it does not, or not with that key.
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
            "Key %s was not tried: %s Run `manage.py check --deploy` as the user that the server"
            " runs as once it signs.",
            key.kid,
            denied,
        )


def get_signer_of(reference: SignerReference) -> KeySigner:
    """The signer that a key of the ring belongs to.

    Raises:
        KeySignerError: it is not the one that the settings name.
    """
    signer = find_key_signer()
    if signer is None or signer.name != reference.backend:
        raise KeySignerError(
            f"The signing key is with {reference.backend}: set JWT_AUTH_KEY_SIGNER to it."
        )
    return signer


def how_to_end(reference: SignerReference) -> str:
    """Say how to end a key that the ring has no more: a signer goes on signing with it."""
    try:
        return get_signer_of(reference).how_to_end(reference.key)
    except KeySignerError:
        return f"Disable {reference.key} at {reference.backend}, too."


_setting: Final = BackendSetting("JWT_AUTH_KEY_SIGNER", KeySigner)
# The parent's signer may have open connections, which two processes can't share.
after_fork_in_child(_setting.forget_instance)


def find_key_signer() -> KeySigner | None:
    """The signer that ``JWT_AUTH_KEY_SIGNER`` names, built once for each value of the setting.

    Raises:
        ImproperlyConfigured: there is no such signer, or it does not accept its options.
    """
    config = conf.key_signer
    return None if config is None else _setting.get_instance(config)
