"""The key ring in HashiCorp Vault's KV secrets engine, version 2.

The secret's data is the ring's document itself. A save swaps it with the engine's check-and-set
option, which compares the number of the secret's current version. That number also counts versions
that have been deleted or destroyed, so that a deleted ring can be made anew, and by one process
only. The ring's version is in the document as well, because a secret that was removed altogether
starts counting at 1 again.

https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from django.core.checks import CheckMessage

from jwt_auth.check_messages import option_error, warning
from jwt_auth.exceptions import KeyFailure
from jwt_auth.keys.remote_client import Fault
from jwt_auth.keys.stores.remote import (
    Overtaken,
    RemoteKeyStore,
    Stored,
    check_address,
)

try:
    import hvac
    import requests
    from hvac import exceptions
except ImportError as error:
    message = 'VaultKeyStore needs hvac: pip install "django-jwt-sessions[vault]"'
    raise ImportError(message) from error

#: Where Kubernetes puts the token of the pod's service account.
_SERVICE_ACCOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount/token"

#: The engine's answer to a check-and-set that failed, with status 400.
_MISMATCH: Final = "check-and-set parameter did not match the current version"


class NoToken(Exception):
    """No source has a token."""


class VaultLoginRefused(Exception):
    """Vault answered 403 to the login.

    It also does so while it can't ask Kubernetes about the pod's token, and for as long as it has
    locked the role out. So the refusal may pass, unlike that of a token.
    """


#: ``OSError``: the client's network errors, and a token's file that can't be read. Vault Agent,
#: which writes that file, may have started at the same time as the server.
_PASSING: Final = (exceptions.VaultError, VaultLoginRefused, OSError)

#: The ones among those that an operator has to mend.
_LASTING: Final = (
    exceptions.Forbidden,
    exceptions.Unauthorized,
    exceptions.InvalidRequest,
    exceptions.InvalidPath,
    exceptions.VaultNotInitialized,
    requests.exceptions.SSLError,
)

#: Vault did nothing of what it was asked to.
_REFUSED: Final = (
    NoToken,
    VaultLoginRefused,
    exceptions.Forbidden,
    exceptions.Unauthorized,
    exceptions.InvalidRequest,
    exceptions.InvalidPath,
    exceptions.RateLimitExceeded,
)


class VaultKeyStore(RemoteKeyStore):
    """Keeps the ring in the secret ``PATH`` of the engine mounted at ``MOUNT_POINT``.

    Unless the options name others, address, namespace and token come from ``VAULT_ADDR``,
    ``VAULT_NAMESPACE``, ``VAULT_TOKEN`` and ``~/.vault-token``, as with Vault's command.
    """

    #: Half of what Consul takes, the smallest of Vault's storages; Vault's own limit is 32 MiB.
    limit = 256 * 1024

    def __init__(
        self,
        *,
        PATH: str,  # noqa: N803  the names of the options
        MOUNT_POINT: str = "secret",  # noqa: N803
        URL: str | None = None,  # noqa: N803
        NAMESPACE: str | None = None,  # noqa: N803
        CA_CERT: str | None = None,  # noqa: N803
        TOKEN: str | None = None,  # noqa: N803
        TOKEN_FILE: str | None = None,  # noqa: N803
        ROLE_ID: str | None = None,  # noqa: N803
        SECRET_ID: str | None = None,  # noqa: N803
        KUBERNETES_ROLE: str | None = None,  # noqa: N803
        KUBERNETES_TOKEN_FILE: str = _SERVICE_ACCOUNT,  # noqa: N803
        AUTH_MOUNT_POINT: str | None = None,  # noqa: N803
        TIMEOUT: float = 3,  # noqa: N803
        DEADLINE: float = 10,  # noqa: N803
    ) -> None:
        super().__init__(timeout=TIMEOUT, deadline=DEADLINE)
        self._path = PATH.strip("/")
        self._mount_point = MOUNT_POINT.strip("/")
        self._url = (URL or os.environ.get("VAULT_ADDR") or hvac.v1.DEFAULT_URL).rstrip("/")
        self._namespace = NAMESPACE or os.environ.get("VAULT_NAMESPACE") or None
        self._ca_cert = CA_CERT
        self._token, self._token_file = TOKEN, TOKEN_FILE
        self._role_id, self._secret_id = ROLE_ID, SECRET_ID
        self._kubernetes_role, self._kubernetes_token_file = KUBERNETES_ROLE, KUBERNETES_TOKEN_FILE
        self._auth_mount_point = AUTH_MOUNT_POINT

    def describe(self) -> str:
        namespace = f" (namespace {self._namespace})" if self._namespace else ""
        return f"Vault {self._url}, {self._mount_point}/data/{self._path}{namespace}"

    def _check_options(self) -> Iterator[CheckMessage]:
        yield from super()._check_options()
        yield from check_address("URL", self._url)
        if not self._path or self._path.startswith(("data/", f"{self._mount_point}/")):
            yield option_error(
                "E047",
                'PATH is not a path below MOUNT_POINT, without "data/" before it',
                '"MOUNT_POINT": "secret", "PATH": "example/keys"',
            )
        ways = (self._token, self._token_file, self._role_id, self._kubernetes_role)
        if sum(way is not None for way in ways) > 1:
            yield option_error(
                "E034",
                "there is more than one of TOKEN, TOKEN_FILE, ROLE_ID and KUBERNETES_ROLE",
                "the one that is meant",
            )
        if (self._role_id is None) != (self._secret_id is None):
            yield option_error("E048", "ROLE_ID and SECRET_ID go together", "both")

    def check_server(self) -> list[CheckMessage]:
        """Warn of an engine that deletes old versions: some day that is the ring in use."""
        try:
            answer = self._read(self._get_secret)
        except KeyFailure:
            return []  # the check of the ring names it
        if not answer["data"]["metadata"]["deletion_time"]:
            return []
        return [
            warning(
                "W046",
                f"{self.describe()} will be deleted by Vault itself: the engine or the secret has"
                " delete_version_after.",
                f"Run `vault read {self._mount_point}/config` and `vault kv metadata get"
                f" -mount={self._mount_point} {self._path}`, set it to 0s in both, and have"
                " `manage.py rotate_keys` save the ring again.",
            )
        ]

    def _connect(self) -> hvac.Client:
        client = hvac.Client(
            url=self._url,
            token=self._read_token(),
            namespace=self._namespace,
            verify=self._ca_cert,
            timeout=(self._timeout, self._timeout),
        )
        try:
            self._log_in(client)
        except (exceptions.Forbidden, exceptions.Unauthorized):
            raise VaultLoginRefused from None
        if not client.token:
            raise NoToken
        return client

    def _explain(self, error: Exception) -> Fault:
        return Fault(
            reason=type(error).__name__,
            passes=isinstance(error, _PASSING) and not isinstance(error, _LASTING),
            credential=isinstance(error, exceptions.Forbidden | exceptions.Unauthorized),
            refused=isinstance(error, _REFUSED),
        )

    def _log_in(self, client: hvac.Client) -> None:
        if self._role_id is not None:
            client.auth.approle.login(
                self._role_id, self._secret_id, mount_point=self._auth_mount_point or "approle"
            )
        elif self._kubernetes_role is not None:
            client.auth.kubernetes.login(
                self._kubernetes_role,
                Path(self._kubernetes_token_file).read_text().strip(),
                mount_point=self._auth_mount_point or "kubernetes",
            )

    def _read_token(self) -> str | None:
        if self._role_id is not None or self._kubernetes_role is not None:
            return ""  # not the environment's token, which the login would send along
        if self._token_file is not None:
            return Path(self._token_file).read_text().strip()
        return self._token

    def _find(self, client: hvac.Client) -> Stored:
        try:
            answer = self._get_secret(client)
        except exceptions.InvalidPath as missing:
            # For a missing secret Vault answers JSON without errors. Other causes have errors.
            if missing.errors or not isinstance(missing.json, dict):
                raise
            return _missing(missing.json)
        data = answer["data"]
        return Stored(text=json.dumps(data["data"]), version=data["metadata"]["version"])

    def _get_secret(self, client: hvac.Client) -> Any:
        return client.secrets.kv.v2.read_secret_version(
            self._path, mount_point=self._mount_point, raise_on_deleted_version=True
        )

    def _swap(self, client: hvac.Client, stored: Stored, text: str) -> None:
        try:
            client.secrets.kv.v2.create_or_update_secret(
                self._path, json.loads(text), cas=stored.version, mount_point=self._mount_point
            )
        except exceptions.InvalidRequest as refused:
            if _MISMATCH in (refused.errors or ()):
                raise Overtaken from None
            raise


def _missing(body: dict[str, Any]) -> Stored:
    """Tell a secret that never existed from one whose latest version was deleted or destroyed."""
    metadata = (body.get("data") or {}).get("metadata")
    if not metadata:
        return Stored(text=None, version=0)
    number = metadata["version"]
    way = "rollback" if metadata["destroyed"] else "undelete"
    return Stored(
        text=None,
        version=number,
        absence=f"its version {number} was deleted. Bring it back with `vault kv {way}`, or ",
    )
