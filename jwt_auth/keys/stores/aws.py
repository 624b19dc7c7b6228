"""The key ring in AWS Secrets Manager.

The ring is the version of the secret that the staging label ``AWSCURRENT`` is attached to. A new
ring is put beside it, under a label of our own, and then the label is moved: the service moves it
only away from the version that was named (``RemoveFromVersionId``: "If the version ID does not
match, then the operation fails"), so of two who save at once one moves it and the other's version
is never current. The first ring makes the secret, which the service refuses where there is one.

https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

from django.core.checks import CheckMessage

from jwt_auth.keys.aws_logging import hush_loggers, hushed
from jwt_auth.keys.stores.remote import (
    Overtaken,
    RemoteKeyStore,
    Stored,
    Trouble,
    check_address,
    option_error,
)

try:
    import boto3
    import botocore.exceptions as failures
    from botocore.config import Config
except ImportError as error:
    message = 'AWSSecretsManagerKeyStore needs boto3: pip install "django-jwt-sessions[aws]"'
    raise ImportError(message) from error

_CURRENT: Final = "AWSCURRENT"

#: The label of a version until it is current, and of one that has lost: without any label it
#: could be deleted before it is moved to. Never AWSPENDING, which belongs to rotation functions.
_NEXT: Final = "JWT_AUTH_NEXT"

_NAME: Final = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}|arn:[\w-]+:secretsmanager:[^\s]+")

_CREDENTIAL: Final = Trouble(
    reason="the credential was refused, or has expired",
    advice="Look at `aws sts get-caller-identity`, and at this machine's clock.",
    credential=True,
)
_THROTTLED: Final = Trouble(
    reason="too many requests at the moment",
    advice="Look at the account's request quotas, and raise JWT_AUTH_KEY_RELOAD_INTERVAL.",
    passes=True,
)
_KMS: Final = Trouble(
    reason="its KMS key can't be used",
    advice="The key must be enabled, and allow kms:Decrypt, and to save kms:GenerateDataKey.",
)
_FAILED: Final = Trouble(reason="the service failed", passes=True, unsure=True)
_OPTIONS: Final = Trouble(
    reason="the service can't work with the request",
    advice="Look at SECRET_ID: a secret that is named by its ARN must be there before the ring.",
)

_CODES: Final = {
    "ExpiredToken": _CREDENTIAL,
    "ExpiredTokenException": _CREDENTIAL,
    "IncompleteSignature": _CREDENTIAL,
    "InvalidClientTokenId": _CREDENTIAL,
    "InvalidSignatureException": _CREDENTIAL,
    "MissingAuthenticationTokenException": _CREDENTIAL,
    "SignatureDoesNotMatch": _CREDENTIAL,
    "UnrecognizedClientException": _CREDENTIAL,
    "RequestLimitExceeded": _THROTTLED,
    "Throttling": _THROTTLED,
    "ThrottlingException": _THROTTLED,
    "TooManyRequestsException": _THROTTLED,
    "IDPCommunicationError": Trouble(
        reason="STS can't reach what the identity token is from",
        advice="Look at the OIDC provider of the cluster.",
        passes=True,
    ),
    "DecryptionFailure": _KMS,
    "EncryptionFailure": _KMS,
    "InvalidParameterException": _OPTIONS,
    "ValidationException": _OPTIONS,
    "InvalidRequestException": Trouble(
        reason="the secret is scheduled for deletion, or another service manages it",
        advice="Run `aws secretsmanager restore-secret`.",
    ),
    "LimitExceededException": Trouble(
        reason="a quota of the service is used up",
        advice="A secret has 100 versions, and one gets old in a day: look who makes so many.",
    ),
    "ResourceNotFoundException": Trouble(
        reason="the secret is gone", advice="Run the command again."
    ),
}

_NO_CREDENTIAL: Final = Trouble(
    reason="there is no credential",
    advice="Give the machine a role, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and"
    " AWS_SECRET_ACCESS_KEY.",
)

_TROUBLES: Final = (
    (
        failures.NoCredentialsError,
        # A machine whose metadata endpoint is away for a moment looks like one without a role. The
        # client looks once, when it is made, so that another one has to be made.
        replace(_NO_CREDENTIAL, credential=True, passes=True),
    ),
    (failures.PartialCredentialsError, _NO_CREDENTIAL),
    (
        failures.CredentialRetrievalError,
        Trouble(
            reason="the credential can't be got",
            advice="Look at the container's or pod's metadata endpoint, AWS_PROFILE and"
            " ~/.aws/config.",
            passes=True,
        ),
    ),
    (
        (failures.ProfileNotFound, failures.TokenRetrievalError),
        Trouble(
            reason="the credential can't be found",
            advice="Look at AWS_PROFILE and ~/.aws/config.",
        ),
    ),
    (
        (failures.NoRegionError, failures.InvalidRegionError),
        Trouble(reason="the region is not known", advice="Set AWS_REGION or the option REGION."),
    ),
    (
        failures.SSLError,
        Trouble(reason="the server's certificate is not trusted", advice="Set AWS_CA_BUNDLE."),
    ),
    (failures.ConnectTimeoutError, Trouble(reason="no connection in time", passes=True)),
    (failures.ReadTimeoutError, Trouble(reason="no answer in time", passes=True, unsure=True)),
    (
        (failures.ConnectionError, failures.HTTPClientError, failures.IncompleteReadError),
        Trouble(
            reason="no connection, or one that broke",
            advice="Look at the network, REGION and the VPC endpoint.",
            passes=True,
            unsure=True,
        ),
    ),
    (
        failures.ParamValidationError,
        Trouble(reason="the request is not one", advice="Look at SECRET_ID."),
    ),
    (KeyError, Trouble(reason="that is no whole answer", passes=True, unsure=True)),
    (
        (failures.BotoCoreError, AttributeError, TypeError, ValueError),
        Trouble(
            reason="that is no answer of Secrets Manager",
            advice="Look at REGION and ENDPOINT_URL.",
            unsure=True,
        ),
    ),
)


class AWSSecretsManagerKeyStore(RemoteKeyStore):
    """Keeps the ring in the secret ``SECRET_ID``, a name or an ARN.

    Region and credential come as in every program that uses boto3: environment, ``~/.aws``, the
    role of the pod, the task, the function or the machine; unless the options name them.
    """

    limit = 65_536
    troubles = _TROUBLES

    def __init__(
        self,
        *,
        SECRET_ID: str,  # noqa: N803  the names of the options
        REGION: str | None = None,  # noqa: N803
        PROFILE: str | None = None,  # noqa: N803
        ACCESS_KEY_ID: str | None = None,  # noqa: N803
        SECRET_ACCESS_KEY: str | None = None,  # noqa: N803
        SESSION_TOKEN: str | None = None,  # noqa: N803
        KMS_KEY_ID: str | None = None,  # noqa: N803
        ENDPOINT_URL: str | None = None,  # noqa: N803
        TIMEOUT: float = 3,  # noqa: N803
        DEADLINE: float = 10,  # noqa: N803
    ) -> None:
        super().__init__(timeout=TIMEOUT, deadline=DEADLINE)
        self._secret_id = SECRET_ID
        self._region, self._endpoint_url = REGION, ENDPOINT_URL
        self._profile = PROFILE
        self._access_key = (ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN)
        self._kms_key_id = KMS_KEY_ID

    def describe(self) -> str:
        region = f" in {self._region}" if self._region else ""
        return f"AWS Secrets Manager, {self._secret_id}{region}"

    def _check_options(self) -> Iterator[CheckMessage]:
        yield from super()._check_options()
        if not _NAME.fullmatch(str(self._secret_id)):
            yield option_error(
                "E047", "SECRET_ID is neither a name nor an ARN", '"SECRET_ID": "example/jwt-keys"'
            )
        if self._endpoint_url is not None:
            yield from check_address("ENDPOINT_URL", self._endpoint_url)
        identifier, secret, token = self._access_key
        if (identifier is None) != (secret is None) or (token is not None and secret is None):
            yield option_error("E048", "ACCESS_KEY_ID and SECRET_ACCESS_KEY go together", "both")
        elif identifier is not None and self._profile is not None:
            yield option_error("E034", "there are ACCESS_KEY_ID and PROFILE", "one of them")

    def _connect(self) -> Any:
        identifier, secret, token = self._access_key
        # Not boto3's default session: to make one in two threads at once is not safe.
        session = boto3.session.Session(
            aws_access_key_id=identifier,
            aws_secret_access_key=secret,
            aws_session_token=token,
            region_name=self._region,
            profile_name=self._profile,
        )
        config = Config(
            connect_timeout=self._timeout,
            read_timeout=self._timeout,
            retries={"mode": "standard", "total_max_attempts": 1},
        )
        client = session.client("secretsmanager", endpoint_url=self._endpoint_url, config=config)
        hush_loggers()
        return client

    def _find(self, client: Any) -> Stored:
        try:
            with hushed():
                answer = client.get_secret_value(SecretId=self._secret_id, VersionStage=_CURRENT)
        except client.exceptions.ResourceNotFoundException:
            return Stored(text=None)
        # One that was saved as bytes has no SecretString, and is no ring.
        return Stored(text=answer.get("SecretString", ""), version=answer["VersionId"])

    def _swap(self, client: Any, stored: Stored, text: str) -> None:
        token = str(uuid4())  # becomes the new version's id
        with hushed():
            if stored.version is None and self._create(client, token, text):
                return
            client.put_secret_value(
                SecretId=self._secret_id,
                ClientRequestToken=token,
                SecretString=text,
                VersionStages=[_NEXT],
            )
            self._make_current(client, token, former=stored.version)

    def _create(self, client: Any, token: str, text: str) -> bool:
        """Make the secret; False where there is one, which may be without a value still."""
        own_key = {} if self._kms_key_id is None else {"KmsKeyId": self._kms_key_id}
        try:
            client.create_secret(
                Name=self._secret_id,
                ClientRequestToken=token,
                SecretString=text,
                Description="Signing keys of django-jwt-sessions",
                **own_key,
            )
        except client.exceptions.ResourceExistsException:
            return False
        return True

    def _make_current(self, client: Any, token: str, *, former: str | None) -> None:
        expected = {} if former is None else {"RemoveFromVersionId": former}
        try:
            client.update_secret_version_stage(
                SecretId=self._secret_id,
                VersionStage=_CURRENT,
                MoveToVersionId=token,
                **expected,
            )
        except (
            client.exceptions.InvalidParameterException,
            client.exceptions.InvalidRequestException,
        ):
            # Somebody else has the label; or we do, which a secret's first version gets by itself.
            versions = client.describe_secret(SecretId=self._secret_id)["VersionIdsToStages"]
            if _CURRENT not in versions.get(token, ()):
                raise Overtaken from None

    def _explain(self, error: Exception) -> Trouble | None:
        if not isinstance(error, failures.ClientError):
            return super()._explain(error)
        code = error.response.get("Error", {}).get("Code")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if code in _CODES:
            return _CODES[code]
        if code == "AccessDeniedException" or status == HTTPStatus.FORBIDDEN:
            return Trouble(
                reason="access denied",
                advice=f"Allow secretsmanager:{error.operation_name} on the secret; where a KMS key"
                " of your own encrypts it, kms:Decrypt and kms:GenerateDataKey on that.",
            )
        return _FAILED if status is None or status >= HTTPStatus.INTERNAL_SERVER_ERROR else _OPTIONS
