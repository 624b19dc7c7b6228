"""Keys in AWS KMS, which makes them and signs with them. They never leave it.

KMS gets the message's digest for RSA and ECDSA keys. A digest has no upper length and shows AWS no
claims. Ed25519 needs the message itself, of at most 4096 bytes. KMS's pre-hashed variant
(``ED25519_PH_SHA_512``) is another algorithm than a JWT's EdDSA.

https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from time import monotonic, sleep
from typing import Any, Final, TypeVar

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from jwt_auth.conf import conf
from jwt_auth.exceptions import InvalidKey, KeySignerError
from jwt_auth.keys.aws_clients import (
    SILENCE,
    RenewableClient,
    code_of,
    explain_aws_error,
    make_config,
    open_aws_session,
)
from jwt_auth.keys.bounded_call import StillWaiting
from jwt_auth.keys.pem import public_jwk_from_der
from jwt_auth.keys.remote_client import SEE_TABLE, SIGNER_THREAD, RemoteClient
from jwt_auth.keys.ring import SignerReference
from jwt_auth.keys.signers.base import KeySigner, NewKey, SigningDenied

#: Seconds to connect. KMS answers within some 10 ms, and a login waits for it.
_CONNECT_TIMEOUT: Final = 1.0

#: Seconds for an answer to a management command.
_COMMAND_TIMEOUT: Final = 20.0

#: Seconds of the deadline for each attempt, in addition to its time-outs: for a pause before the
#: next attempt, and for the credential.
_SPARE: Final = 1.0

#: Calls at a time. At KMS's 10 ms that is more than its quota for a key allows. If nothing answers,
#: it is the number of threads that hang.
_PLACES: Final = 16

#: Seconds after a time-out during which no other caller waits for KMS. Otherwise every worker would
#: soon hang there, and requests that only verify a token would find none.
_COOL_DOWN: Final = 5.0

#: Seconds between two looks at the credential. A look costs nothing until the credential is within
#: 15 minutes of its end.
_CREDENTIAL_INTERVAL: Final = 60.0

#: A new key is not known everywhere at once (KMS is eventually consistent).
_NEW_KEY_ATTEMPTS: Final = 6
_NEW_KEY_PAUSE: Final = 1.0

#: Bytes of a message that KMS hashes itself.
_MAX_MESSAGE: Final = 4096

#: Length of r and of s in a signature of ES256 (RFC 7518 §3.4).
_ES256_HALF: Final = 32

T = TypeVar("T")


class _NotFound(KeySignerError):
    """KMS knows no such key, or not yet."""


#: Codes of answers that a caller tells from the others.
_REFUSALS: Final = {"NotFoundException": _NotFound, "AccessDeniedException": SigningDenied}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Method:
    """How KMS names one of our algorithms."""

    key_spec: str
    signing_algorithm: str
    takes_digest: bool = True


#: https://docs.aws.amazon.com/kms/latest/developerguide/symm-asymm-choose-key-spec.html
_METHODS: Final = {
    "ES256": _Method(key_spec="ECC_NIST_P256", signing_algorithm="ECDSA_SHA_256"),
    "EdDSA": _Method(
        key_spec="ECC_NIST_EDWARDS25519",
        signing_algorithm="ED25519_SHA_512",
        takes_digest=False,
    ),
    "PS256": _Method(key_spec="RSA_3072", signing_algorithm="RSASSA_PSS_SHA_256"),
    "RS256": _Method(key_spec="RSA_3072", signing_algorithm="RSASSA_PKCS1_V1_5_SHA_256"),
}


class AWSKMSSigner(KeySigner):
    """Signs with AWS KMS. Credentials and region come as all of AWS's SDKs find them.

    ``TIMEOUT`` is in seconds, for one answer. ``ATTEMPTS`` includes the first.
    """

    name = "aws-kms"
    algorithms = frozenset(_METHODS)

    def __init__(
        self,
        *,
        REGION: str | None = None,  # noqa: N803  the names of the options
        PROFILE: str | None = None,  # noqa: N803
        ENDPOINT_URL: str | None = None,  # noqa: N803
        TIMEOUT: float = 2.0,  # noqa: N803
        ATTEMPTS: int = 2,  # noqa: N803
    ) -> None:
        if not TIMEOUT > 0 or not ATTEMPTS >= 1:
            raise ValueError("TIMEOUT and ATTEMPTS must be positive")
        self._session_options = {"region_name": REGION, "profile_name": PROFILE}
        self._endpoint_url = ENDPOINT_URL
        self._deadline = _deadline(TIMEOUT, ATTEMPTS)
        self._remote = RemoteClient(
            lambda: self._connect(TIMEOUT, ATTEMPTS),
            explain=explain_aws_error,
            places=_PLACES,
            name=SIGNER_THREAD,
        )
        self._silent_until = 0.0
        self._next_look = monotonic() + _CREDENTIAL_INTERVAL

    def sign(self, key: str, *, algorithm: str, message: bytes) -> bytes:
        method = _METHODS[algorithm]
        if not method.takes_digest and len(message) > _MAX_MESSAGE:
            raise KeySignerError(
                "The token is too long for an Ed25519 key in AWS KMS, which signs up to 4096 bytes."
                " Put less into its claims, or rotate to a key of another algorithm."
            )
        if monotonic() < self._silent_until:
            raise KeySignerError(
                "AWS KMS didn't answer a moment ago. It is asked again after a pause of"
                f" {_COOL_DOWN:g} seconds."
            )

        def request(client: RenewableClient) -> Any:
            return client.api.sign(
                KeyId=key,
                Message=sha256(message).digest() if method.takes_digest else message,
                MessageType="DIGEST" if method.takes_digest else "RAW",
                SigningAlgorithm=method.signing_algorithm,
            )["Signature"]

        signature: bytes = self._call(lambda: self._remote.attempt(request), seconds=self._deadline)
        self._look_at_credential()
        return _joined(signature) if algorithm == "ES256" else signature

    def create(self, algorithm: str) -> NewKey:
        issuer = str(conf.issuer)[:256]
        # In one attempt: a request that was not answered may have made a key, and each is paid for.
        answer = self._command(
            "create_key",
            attempts=1,
            KeySpec=_METHODS[algorithm].key_spec,
            KeyUsage="SIGN_VERIFY",
            Description=f"Signs access tokens ({algorithm}) of {issuer}"[:8192],
            Tags=[
                {"TagKey": "application", "TagValue": "django-jwt-sessions"},
                {"TagKey": "issuer", "TagValue": _tag_value(issuer)},
            ],
        )
        arn: str = answer["KeyMetadata"]["Arn"]
        try:
            new = self._new_key(self._once_known(lambda: self._public_key(arn)), algorithm)
            with suppress(SigningDenied):  # the job that makes keys need not be allowed to sign
                self._once_known(lambda: self.sign(arn, algorithm=algorithm, message=b"a trial"))
        except KeySignerError as error:
            raise KeySignerError(f"{error} The key was made: {self.how_to_end(arn)}") from None
        return new

    def adopt(self, key: str, *, algorithm: str | None) -> NewKey:
        answer = self._public_key(key)
        return self._new_key(answer, _choose(answer.get("SigningAlgorithms", []), algorithm))

    def how_to_end(self, key: str) -> str:
        return (
            f"Run `aws kms disable-key --key-id {key}`, and once nothing misses it"
            f" `aws kms schedule-key-deletion --key-id {key} --pending-window-in-days 30`."
        )

    def _new_key(self, answer: dict[str, Any], algorithm: str) -> NewKey:
        # The ARN of the key itself: an alias, which an operator may have given, can be moved.
        reference = SignerReference(backend=self.name, key=answer["KeyId"])
        jwk = public_jwk_from_der(answer["PublicKey"], algorithm=algorithm)
        return NewKey(jwk=jwk, signer=reference)

    def _public_key(self, key: str) -> dict[str, Any]:
        return self._command("get_public_key", attempts=3, KeyId=key)

    def _once_known(self, question: Callable[[], T]) -> T:
        for _ in range(_NEW_KEY_ATTEMPTS - 1):
            try:
                return question()
            except _NotFound:
                sleep(_NEW_KEY_PAUSE)
        return question()

    def _command(self, operation: str, *, attempts: int, **arguments: Any) -> dict[str, Any]:
        """Do what a management command needs, with a patient client that is made for it."""

        def request() -> Any:
            client = self._connect(_COMMAND_TIMEOUT, attempts)
            return getattr(client.api, operation)(**arguments)

        answer: dict[str, Any] = self._call(request, seconds=_deadline(_COMMAND_TIMEOUT, attempts))
        return answer

    def _call(self, function: Callable[[], T], *, seconds: float) -> T:
        """Call KMS within the deadline. Errors become ours, without KMS's message."""
        try:
            return self._remote.call(function, seconds=seconds)
        except Exception as error:  # noqa: BLE001  a client may raise anything, and quote anything
            fault, code = self._remote.explain(error, seconds=seconds), code_of(error)
            is_silence = isinstance(error, (TimeoutError, *SILENCE))
        if is_silence:
            self._silent_until = monotonic() + _COOL_DOWN
        kind = _REFUSALS.get(code, KeySignerError)
        raise kind(f"The call to AWS KMS failed: {fault.reason}. {SEE_TABLE}")

    def _connect(self, timeout: float, attempts: int) -> RenewableClient:
        config = make_config(
            connect_timeout=_CONNECT_TIMEOUT, read_timeout=timeout, attempts=attempts
        )
        session = open_aws_session(config, **self._session_options)
        return RenewableClient(
            session=session, service="kms", endpoint_url=self._endpoint_url
        ).renewed()

    def _look_at_credential(self) -> None:
        """Refresh the credential in the background if it ends soon, so that no login waits."""
        now = monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _CREDENTIAL_INTERVAL
        with suppress(StillWaiting, RuntimeError):  # the next look tries again
            self._remote.submit(self._renew_client)

    def _renew_client(self) -> None:
        client = self._remote.get_client()
        self._remote.replace_client(client, client.renewed())


def _deadline(timeout: float, attempts: int) -> float:
    """Seconds for all attempts together."""
    return attempts * (_CONNECT_TIMEOUT + timeout + _SPARE)


def _choose(offered: list[str], algorithm: str | None) -> str:
    possible = [name for name, method in _METHODS.items() if method.signing_algorithm in offered]
    if not possible:
        names = ", ".join(sorted(_METHODS))
        raise InvalidKey(f"The key in AWS KMS signs with none of {names}. Make one that does.")
    if algorithm is None and len(possible) > 1:
        raise InvalidKey(f"The key can be for {' or '.join(possible)}: say for which.")
    chosen = algorithm or possible[0]
    if chosen not in possible:
        raise InvalidKey(f"The key can't be for {chosen}, only for {' or '.join(possible)}.")
    return chosen


def _joined(der: bytes) -> bytes:
    """Put the two numbers of X9.62's DER side by side (RFC 7518 §3.4)."""
    try:
        r, s = decode_dss_signature(der)
        return r.to_bytes(_ES256_HALF, "big") + s.to_bytes(_ES256_HALF, "big")
    except (ValueError, OverflowError):
        raise KeySignerError(
            "AWS KMS answered something else than a P-256 signature. Check ENDPOINT_URL, and that"
            " the key's spec is ECC_NIST_P256."
        ) from None


def _tag_value(text: str) -> str:
    """Keep the characters that a tag may have: letters, digits, spaces and ``_.:/=+-@``."""
    return "".join(c if c.isalnum() or c in " _.:/=+-@" else "_" for c in text)
