"""Keys in AWS KMS: made there, signing there, never anywhere else.

The RSA and ECDSA keys are given the message's digest, which has no upper length and shows AWS no
claims. Ed25519 needs the message itself, of 4096 bytes at most: KMS has only the pre-hashed variant
besides (``ED25519_PH_SHA_512``), which is another algorithm than a JWT's EdDSA.

The client's time-outs are those of its own requests to KMS. The credential behind them is got and
renewed by others (STS, the endpoint of the container or the machine), whose time-outs are minutes.
So each question has a deadline of its own, too.

https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from threading import Lock
from time import monotonic, sleep
from typing import Any, Final, TypeVar

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from jwt_auth.conf import conf
from jwt_auth.exceptions import InvalidKey, KeySignerError
from jwt_auth.keys.aws_logging import hush_loggers, hushed
from jwt_auth.keys.bounded_call import BoundedExecutor, StillWaiting
from jwt_auth.keys.pem import public_jwk_from_der
from jwt_auth.keys.ring import SignerReference
from jwt_auth.keys.signers.base import KeySigner, NewKey, SigningDenied

try:
    from boto3.session import Session
    from botocore import exceptions
    from botocore.config import Config
    from botocore.parsers import ResponseParserError
except ImportError as error:
    message = 'AWSKMSSigner needs boto3: pip install "django-jwt-sessions[aws]"'
    raise ImportError(message) from error

#: Seconds for connecting. KMS answers within some 10 ms; a log-in waits for it.
_CONNECT_TIMEOUT: Final = 1.0

#: Seconds for an answer to a command. A key is made once, without a second attempt: nobody knows
#: what became of a request that was not answered, and each key is paid for.
_PATIENCE: Final = 20.0

#: Seconds of the deadline, for each attempt, beside its own time-outs: a pause before the next
#: one, and the credential.
_SPARE: Final = 1.0

#: Questions at a time. At KMS's 10 ms that is more than its quota for a key allows; where nothing
#: answers, it is how many threads hang.
_PLACES: Final = 16

#: Seconds after a time-out during which no other caller waits for KMS. Otherwise every worker would
#: soon hang there, even those that only have to verify.
_COOL_DOWN: Final = 5.0

#: A new key is not known everywhere at once (KMS is eventually consistent).
_NEW_KEY_ATTEMPTS: Final = 6
_NEW_KEY_PAUSE: Final = 1.0

#: Bytes of a message that KMS hashes itself.
_MAX_MESSAGE: Final = 4096

#: Length of r and of s in a signature of ES256 (RFC 7518 §3.4).
_ES256_HALF: Final = 32

_REASONS: Final = {
    "AccessDeniedException": "access is denied: see the IAM policy in docs/how-to/sign-with-kms.md",
    "DisabledException": "the key is disabled: run `aws kms enable-key`, or rotate",
    "InvalidKeyUsageException": "the key is not for signing with this algorithm",
    "KMSInvalidStateException": "the key is pending deletion or not usable: cancel that, or rotate",
    "NotFoundException": "there is no such key in this region and account",
    "ThrottlingException": "KMS is throttling: ask AWS for a higher quota",
    "LimitExceededException": "a quota of KMS is used up",
    "TagException": "it refuses the tags",
    "ExpiredTokenException": "the AWS credentials have expired",
    "UnrecognizedClientException": "the AWS credentials are not valid",
    "InvalidSignatureException": "the AWS credentials are not valid, or the clock is wrong",
}

#: Nobody answered: not there, not in time, or cut off.
_SILENCE: Final = (exceptions.ConnectionError, exceptions.HTTPClientError)

#: There are no AWS credentials, or their source does not answer.
_NO_CREDENTIAL: Final = (exceptions.NoCredentialsError, exceptions.CredentialRetrievalError)

#: What else may go wrong before and after an answer. ``RuntimeError``: no more threads.
_FAULTS: Final = (
    exceptions.BotoCoreError,
    ResponseParserError,
    KeyError,
    ValueError,
    RuntimeError,
)

T = TypeVar("T")


class _NotFound(KeySignerError):
    """KMS knows no such key, or not yet."""


_REFUSALS: Final = {"NotFoundException": _NotFound, "AccessDeniedException": SigningDenied}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Method:
    """What KMS calls an algorithm of ours."""

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

    ``TIMEOUT`` is in seconds, for one answer; ``ATTEMPTS`` includes the first.
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
        self._named = {"region_name": REGION, "profile_name": PROFILE}
        self._session: Session | None = None
        self._endpoint_url = ENDPOINT_URL
        self._config = _config(TIMEOUT, ATTEMPTS)
        self._clients: dict[Config, Any] = {}
        self._making_client = Lock()
        self._executor = BoundedExecutor(_PLACES, name="jwt_auth-key-signer")
        self._silent_until = 0.0

    def sign(self, key: str, *, algorithm: str, message: bytes) -> bytes:
        method = _METHODS[algorithm]
        if not method.takes_digest and len(message) > _MAX_MESSAGE:
            raise KeySignerError(
                "The token is too long for a key of Ed25519 in AWS KMS, which signs 4096 bytes."
            )
        if monotonic() < self._silent_until:
            raise KeySignerError("AWS KMS gave no answer a moment ago, and is not asked again yet.")
        signature: bytes = self._ask(
            lambda client: client.sign(
                KeyId=key,
                Message=sha256(message).digest() if method.takes_digest else message,
                MessageType="DIGEST" if method.takes_digest else "RAW",
                SigningAlgorithm=method.signing_algorithm,
            )["Signature"],
            self._config,
        )
        return _joined(signature) if algorithm == "ES256" else signature

    def create(self, algorithm: str) -> NewKey:
        issuer = str(conf.issuer)[:256]
        arn: str = self._ask(
            lambda client: client.create_key(
                KeySpec=_METHODS[algorithm].key_spec,
                KeyUsage="SIGN_VERIFY",
                Description=f"Signs access tokens ({algorithm}) of {issuer}"[:8192],
                Tags=[
                    {"TagKey": "application", "TagValue": "django-jwt-sessions"},
                    {"TagKey": "issuer", "TagValue": _tag_value(issuer)},
                ],
            )["KeyMetadata"]["Arn"],
            _config(_PATIENCE, attempts=1),
        )
        try:
            new = self._new_key(self._once_known(lambda: self._public_key(arn)), algorithm)
            with suppress(SigningDenied):  # whoever makes keys need not be let sign
                self._once_known(lambda: self.sign(arn, algorithm=algorithm, message=b"a trial"))
        except KeySignerError as error:
            raise KeySignerError(f"{error} The key is made: {self.how_to_end(arn)}") from None
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
        # The ARN of the key itself: an alias, which somebody may have given, can be moved.
        reference = SignerReference(backend=self.name, key=answer["KeyId"])
        jwk = public_jwk_from_der(answer["PublicKey"], algorithm=algorithm)
        return NewKey(jwk=jwk, signer=reference)

    def _public_key(self, key: str) -> dict[str, Any]:
        return self._ask(
            lambda client: client.get_public_key(KeyId=key), _config(_PATIENCE, attempts=3)
        )

    def _once_known(self, question: Callable[[], T]) -> T:
        for _ in range(_NEW_KEY_ATTEMPTS - 1):
            try:
                return question()
            except _NotFound:
                sleep(_NEW_KEY_PAUSE)
        return question()

    def _ask(self, question: Callable[[Any], T], config: Config) -> T:
        """Ask KMS. Its own words are not repeated: they name accounts and roles."""
        try:
            return self._executor.call(
                lambda: self._answer(question, config), seconds=_deadline(config)
            )
        except exceptions.ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            refusal = _REFUSALS.get(code, KeySignerError)
            raise refusal(f"AWS KMS: {_REASONS.get(code, 'it has failed')}.") from None
        except StillWaiting:
            raise KeySignerError(
                f"AWS KMS, or what gives the AWS credentials, does not answer: {_PLACES} questions"
                " still wait for it."
            ) from None
        except TimeoutError:
            self._cool_down()
            raise KeySignerError(
                "AWS KMS, or what gives the AWS credentials, did not answer in time."
            ) from None
        except _NO_CREDENTIAL:
            # A client looks for its credential once, when it is made: this one never gets any.
            self._clients.pop(config, None)
            self._cool_down()
            raise KeySignerError("AWS KMS: there are no AWS credentials, or no region.") from None
        except exceptions.NoRegionError:
            raise KeySignerError("AWS KMS: there are no AWS credentials, or no region.") from None
        except _SILENCE:
            self._cool_down()
            raise KeySignerError("AWS KMS could not be reached, or not heard in time.") from None
        except _FAULTS as error:
            raise KeySignerError(f"AWS KMS can't be asked: {type(error).__name__}.") from None

    def _answer(self, question: Callable[[Any], T], config: Config) -> T:
        client = self._get_client(config)
        with hushed():
            return question(client)

    def _cool_down(self) -> None:
        self._silent_until = monotonic() + _COOL_DOWN

    def _get_client(self, config: Config) -> Any:
        with self._making_client:  # a session must not be used by two threads
            if self._session is None:
                self._session = Session(**self._named)
            if config not in self._clients:
                self._clients[config] = self._session.client(
                    "kms", endpoint_url=self._endpoint_url, config=config
                )
                hush_loggers()
            return self._clients[config]


@cache
def _config(timeout: float, attempts: int) -> Config:
    return Config(
        connect_timeout=_CONNECT_TIMEOUT,
        read_timeout=timeout,
        retries={"mode": "standard", "total_max_attempts": attempts},
        user_agent_extra="django-jwt-sessions",
    )


def _deadline(config: Config) -> float:
    """Seconds in which all attempts are over, whatever they wait for."""
    attempts: int = config.retries["total_max_attempts"]
    seconds: float = attempts * (config.connect_timeout + config.read_timeout + _SPARE)
    return seconds


def _choose(offered: list[str], algorithm: str | None) -> str:
    possible = [name for name, method in _METHODS.items() if method.signing_algorithm in offered]
    if not possible:
        raise InvalidKey("The key in AWS KMS has no algorithm that is known here.")
    if algorithm is None and len(possible) > 1:
        raise InvalidKey(f"The key can be for {' or '.join(possible)}: say for which.")
    chosen = algorithm or possible[0]
    if chosen not in possible:
        raise InvalidKey(f"The key can't be for {chosen}, only for {' or '.join(possible)}.")
    return chosen


def _joined(der: bytes) -> bytes:
    """From the DER of X9.62 to the two numbers side by side (RFC 7518 §3.4)."""
    try:
        r, s = decode_dss_signature(der)
        return r.to_bytes(_ES256_HALF, "big") + s.to_bytes(_ES256_HALF, "big")
    except (ValueError, OverflowError):
        raise KeySignerError("AWS KMS gave a signature that is none of P-256.") from None


def _tag_value(text: str) -> str:
    """Only what a tag may hold: letters, digits, spaces and ``_.:/=+-@``."""
    return "".join(c if c.isalnum() or c in " _.:/=+-@" else "_" for c in text)
