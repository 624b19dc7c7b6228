"""The contract of a signer, the one that the settings name, and the keys that it signs with.

The ring has the public part of such a key and a reference; a process that verifies never asks the
signer. What a signer gives is verified before it is used: a wrong key behind the reference, or a
fault there, must not become tokens that everybody refuses.
"""

from __future__ import annotations

import copy
import inspect
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

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


_built: tuple[dict[str, Any], KeySigner] | None = None


def find_key_signer() -> KeySigner | None:
    """The signer that ``JWT_AUTH_KEY_SIGNER`` names, built once for each value of the setting.

    Raises:
        ImproperlyConfigured: no such backend, or options that it does not take. Only names are
            quoted.
    """
    global _built  # noqa: PLW0603
    config = conf.key_signer
    if config is None:
        return None
    built = _built
    if built is None or built[0] != config:
        built = _built = (copy.deepcopy(config), _build(config))
    return built[1]


def _forget() -> None:
    """Have a forked child build its own: two processes can't share a connection."""
    global _built  # noqa: PLW0603
    _built = None


after_fork_in_child(_forget)


def _build(config: object) -> KeySigner:
    match config:
        case {"BACKEND": str(path), **rest} if rest.keys() <= {"OPTIONS"}:
            options = rest.get("OPTIONS", {})
        case _:
            raise ImproperlyConfigured("JWT_AUTH_KEY_SIGNER must be a dict of BACKEND and OPTIONS.")
    try:
        backend = import_string(path)
    except ImportError as error:
        raise ImproperlyConfigured(f"JWT_AUTH_KEY_SIGNER: {error}") from error
    if not isinstance(backend, type) or not issubclass(backend, KeySigner):
        raise ImproperlyConfigured("JWT_AUTH_KEY_SIGNER: BACKEND is not a subclass of KeySigner.")
    return _instance(backend, options)


def _instance(backend: type[KeySigner], options: object) -> KeySigner:
    wrong = f"JWT_AUTH_KEY_SIGNER: the OPTIONS of {backend.__name__} are wrong"
    if not isinstance(options, Mapping):
        raise ImproperlyConfigured(f"{wrong}: they are no dict.")
    try:
        inspect.signature(backend).bind(**options)
    except TypeError as error:
        raise ImproperlyConfigured(f"{wrong}: {error}.") from None
    try:
        return backend(**options)
    except Exception:  # noqa: BLE001  most often of None, from a variable that is not set
        message = f"JWT_AUTH_KEY_SIGNER: {backend.__name__} can't work with a value of its OPTIONS."
        raise ImproperlyConfigured(message) from None
