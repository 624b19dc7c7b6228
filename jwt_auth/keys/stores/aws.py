"""The key ring in AWS Secrets Manager.

The ring is the version of the secret that has the staging label ``AWSCURRENT``. A save puts a new
version under another label, and then moves ``AWSCURRENT`` to it. The service moves the label only
away from the version that the request names (``RemoveFromVersionId``: "If the version ID does not
match, then the operation fails"). So of two processes that save at once, one moves the label, and
the other's version never becomes current. The first ring makes the secret, which the service
refuses if it exists.

https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final
from uuid import uuid4

from django.core.checks import CheckMessage

from jwt_auth.check_messages import option_error
from jwt_auth.keys.aws_clients import explain_aws_error, make_client, make_config, open_aws_session
from jwt_auth.keys.remote_client import Fault
from jwt_auth.keys.stores.remote import (
    Overtaken,
    RemoteKeyStore,
    Stored,
    check_address,
)

_CURRENT: Final = "AWSCURRENT"

#: The label of a version until it is current, and of one that has lost: a version without any label
#: could be deleted before the label moves. Never AWSPENDING, which belongs to rotation functions.
_NEXT: Final = "JWT_AUTH_NEXT"

_NAME: Final = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}|arn:[\w-]+:secretsmanager:[^\s]+")


class AWSSecretsManagerKeyStore(RemoteKeyStore):
    """Keeps the ring in the secret ``SECRET_ID``, a name or an ARN.

    Unless the options name them, region and credential come as in every program that uses boto3:
    environment, ``~/.aws``, the role of the pod, the task, the function or the machine.
    """

    limit = 65_536

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
        config = make_config(connect_timeout=self._timeout, read_timeout=self._timeout, attempts=1)
        session = open_aws_session(
            config,
            aws_access_key_id=identifier,
            aws_secret_access_key=secret,
            aws_session_token=token,
            region_name=self._region,
            profile_name=self._profile,
        )
        return make_client(session, "secretsmanager", endpoint_url=self._endpoint_url)

    def _explain(self, error: Exception) -> Fault:
        return explain_aws_error(error)

    def _find(self, client: Any) -> Stored:
        try:
            answer = client.get_secret_value(SecretId=self._secret_id, VersionStage=_CURRENT)
        except client.exceptions.ResourceNotFoundException:
            return Stored(text=None)
        # A secret that was saved as bytes has no SecretString, and isn't a ring.
        return Stored(text=answer.get("SecretString", ""), version=answer["VersionId"])

    def _swap(self, client: Any, stored: Stored, text: str) -> None:
        token = str(uuid4())  # becomes the new version's id
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
        """Make the secret. False if it exists, which may still be without a value."""
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
            # The label is on another version; or on ours, if it is the secret's first version.
            versions = client.describe_secret(SecretId=self._secret_id)["VersionIdsToStages"]
            if _CURRENT not in versions.get(token, ()):
                raise Overtaken from None
