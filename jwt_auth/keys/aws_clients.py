"""Clients of AWS's services: their time-outs, credentials, errors and log records.

boto3's DEBUG records hold whole requests and answers. Secrets Manager's answers are the private
keys. With Ed25519, KMS's request is a token and its answer the signature. So the DEBUG records of
our calls are kept out of every log.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from threading import current_thread
from typing import Any, Final, Self

from jwt_auth.keys.remote_client import SIGNER_THREAD, STORE_THREAD, Fault

try:
    import botocore.session
    from boto3.session import Session
    from botocore import exceptions
    from botocore.config import Config
except ImportError as error:
    message = 'AWS needs boto3: pip install "django-jwt-sessions[aws]"'
    raise ImportError(message) from error

#: The form of AWS's error codes. Any other text may come from a proxy, and quote anything.
_CODE: Final = re.compile(r"[A-Za-z]{3,64}")

#: The credential was refused, or has expired.
_CREDENTIAL_CODES: Final = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)

_PASSING_CODES: Final = frozenset(
    {
        "IDPCommunicationError",
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)

#: The service or the source of the credential didn't answer, or was cut off. A machine whose
#: metadata endpoint is unavailable for a moment looks like one without a role
#: (``NoCredentialsError``).
SILENCE: Final = (
    exceptions.NoCredentialsError,
    exceptions.CredentialRetrievalError,
    exceptions.ConnectionError,
    exceptions.HTTPClientError,
)

#: botocore reads a torn answer as an empty one (``KeyError``).
_PASSING: Final = (*SILENCE, exceptions.IncompleteReadError, KeyError)


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewableClient:
    """A client of one service, with a credential that its requests never refresh.

    botocore refreshes a credential from 15 minutes before it expires, in the thread that is about
    to use it: a login would wait for STS or for a metadata endpoint. This client is given the
    credential as it is, and :meth:`renewed` refreshes it in the background.
    """

    session: Session = field(repr=False)
    service: str
    endpoint_url: str | None
    #: botocore's client. Like the credential, it is ``None`` until :meth:`renewed` was called.
    api: Any = field(default=None, repr=False)
    credential: Any = field(default=None, repr=False)

    def renewed(self) -> Self:
        """This client, or one with the new credential if it had to be refreshed."""
        credential = self.session.get_credentials().get_frozen_credentials()
        if credential == self.credential:
            return self
        api = make_client(
            self.session,
            self.service,
            endpoint_url=self.endpoint_url,
            aws_access_key_id=credential.access_key,
            aws_secret_access_key=credential.secret_key,
            aws_session_token=credential.token,
        )
        return replace(self, api=api, credential=credential)


def open_aws_session(config: Config, **options: str | None) -> Session:
    """Make a boto3 session with these arguments and find its credential.

    Raises:
        NoCredentialsError: no source has one. A client that is made then never looks again.
    """
    _hush_loggers()  # before STS answers with the credential
    core = botocore.session.get_session()
    # For STS and SSO as well, which give the credential: their own time-outs are minutes.
    core.set_default_client_config(config)
    # Not boto3's default session: two threads at once can't safely make one.
    session = Session(botocore_session=core, **options)
    if session.get_credentials() is None:
        raise exceptions.NoCredentialsError
    return session


def make_client(session: Session, service: str, **options: str | None) -> Any:
    client = session.client(service, **options)
    _hush_loggers()  # each client may bring new loggers
    return client


def make_config(*, connect_timeout: float, read_timeout: float, attempts: int) -> Config:
    return Config(
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        retries={"mode": "standard", "total_max_attempts": attempts},
        user_agent_extra="django-jwt-sessions",
    )


def explain_aws_error(error: Exception) -> Fault:
    """Explain an error of boto3."""
    if isinstance(error, exceptions.ClientError):
        return _explain_answer(error)
    passes = isinstance(error, _PASSING) and not isinstance(error, exceptions.SSLError)
    return Fault(reason=type(error).__name__, passes=passes)


def code_of(error: Exception) -> str:
    """The code of a service's answer; empty if the error isn't one."""
    if not isinstance(error, exceptions.ClientError):
        return ""
    return str(error.response.get("Error", {}).get("Code", ""))


def _explain_answer(error: Any) -> Fault:
    code = code_of(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 500
    failed = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    name = code if _CODE.fullmatch(code) else f"HTTP status {status}"
    return Fault(
        reason=f"{name} ({error.operation_name})",
        passes=failed or code in _PASSING_CODES,
        credential=code in _CREDENTIAL_CODES,
        refused=not failed,
    )


def _hush_loggers() -> None:
    """Give all loggers of boto3 and botocore the filter. A second call changes nothing."""
    # A filter sees only what is logged to its own logger, not what comes from those below.
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("boto3", "botocore"):
            logging.getLogger(name).addFilter(_is_loud)


_THREADS: Final = (SIGNER_THREAD, STORE_THREAD)


def _is_loud(record: logging.LogRecord) -> bool:
    """Tell whether a record isn't a DEBUG record of our calls, which have separate threads."""
    return record.levelno > logging.DEBUG or current_thread().name not in _THREADS
