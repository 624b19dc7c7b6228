"""The key ring in a secret of Azure Key Vault.

Key Vault compares nothing when it sets a secret: every write becomes a version, and a plain reader
gets the last one. :mod:`.azure_versions` decides which version is the ring, so that of two writers
exactly one wins and the other is told. For that a save takes some seconds. A load is one request,
unless a save is under way or was cut short.

https://learn.microsoft.com/rest/api/keyvault/secrets
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http import HTTPStatus
from time import sleep
from typing import Any, Final

from django.core.checks import CheckMessage
from django.utils.module_loading import import_string

from jwt_auth.check_messages import option_error
from jwt_auth.keys.remote_client import Fault
from jwt_auth.keys.stores.azure_versions import (
    FOLLOWS,
    LOST,
    NOTHING,
    SETTLED,
    History,
    Version,
)
from jwt_auth.keys.stores.remote import (
    PAUSES,
    Overtaken,
    RemoteKeyStore,
    Stored,
    Unsure,
    check_address,
)

try:
    from azure.core import exceptions
    from azure.identity import ClientSecretCredential, DefaultAzureCredential
    from azure.keyvault.secrets import KeyVaultSecret, SecretClient
except ImportError as error:
    message = (
        "AzureKeyVaultKeyStore needs azure-keyvault-secrets and azure-identity:"
        ' pip install "django-jwt-sessions[azure]"'
    )
    raise ImportError(message) from error

_NAME: Final = re.compile(r"[0-9A-Za-z-]{1,127}")

#: The form of Key Vault's error codes. Any other text may come from a proxy, and quote anything.
_CODE: Final = re.compile(r"[A-Za-z]{3,64}")

_REFUSED: Final = HTTPStatus.UNAUTHORIZED
_TOO_MANY: Final = HTTPStatus.TOO_MANY_REQUESTS

#: The vault or the source of the tokens didn't answer, or not as it should. A metadata endpoint
#: that is unavailable for a moment looks like a machine without an identity
#: (``ClientAuthenticationError``).
_PASSING: Final = (exceptions.AzureError, AttributeError, KeyError, TypeError, ValueError)


class AzureKeyVaultKeyStore(RemoteKeyStore):
    """Keeps the ring in the secret ``NAME`` of the vault at ``VAULT_URL``.

    ``DefaultAzureCredential`` finds the identity, unless the options name a service principal or
    the dotted path of a callable that returns a credential. ``SETTLE`` is the pause in seconds in
    which a save waits for others that were written at the same time.
    """

    limit = 25_600

    def __init__(
        self,
        *,
        VAULT_URL: str,  # noqa: N803  the names of the options
        NAME: str = "jwt-auth-keys",  # noqa: N803
        TENANT_ID: str | None = None,  # noqa: N803
        CLIENT_ID: str | None = None,  # noqa: N803
        CLIENT_SECRET: str | None = None,  # noqa: N803
        CREDENTIAL: str | None = None,  # noqa: N803
        SETTLE: float = 3,  # noqa: N803
        TIMEOUT: float = 3,  # noqa: N803
        DEADLINE: float = 10,  # noqa: N803
    ) -> None:
        super().__init__(timeout=TIMEOUT, deadline=DEADLINE)
        self._vault_url = VAULT_URL.rstrip("/")
        self._name = NAME
        self._tenant_id, self._client_id, self._client_secret = TENANT_ID, CLIENT_ID, CLIENT_SECRET
        self._credential = CREDENTIAL
        self._settle = SETTLE

    def describe(self) -> str:
        return f"Azure Key Vault {self._vault_url}, {self._name}"

    def _check_options(self) -> Iterator[CheckMessage]:
        yield from super()._check_options()
        if self._vault_url.startswith("http:"):
            line = '"VAULT_URL": "https://example.vault.azure.net"'
            yield option_error("E039", "VAULT_URL is plain HTTP, which the client refuses", line)
        else:
            yield from check_address("VAULT_URL", self._vault_url)
        if not _NAME.fullmatch(str(self._name)):
            yield option_error(
                "E047",
                "NAME is not a secret's name: letters, digits and hyphens, 127 at most",
                '"NAME": "jwt-auth-keys"',
            )
        tenant, secret = self._tenant_id is not None, self._client_secret is not None
        if tenant != secret or (secret and self._client_id is None):
            yield option_error(
                "E048",
                "TENANT_ID, CLIENT_ID and CLIENT_SECRET go together; CLIENT_ID alone is that of a"
                " managed identity",
                "all three",
            )
        elif self._client_id is not None and self._credential is not None:
            yield option_error("E034", "there are CLIENT_ID and CREDENTIAL", "one of them")
        elif self._credential is not None and not _is_callable(self._credential):
            yield option_error(
                "E035",
                "CREDENTIAL is not the dotted path of a callable that returns a credential",
                '"CREDENTIAL": "azure.identity.WorkloadIdentityCredential"',
            )
        if type(self._settle) not in (int, float) or not 1 < self._settle < self._deadline:
            yield option_error(
                "E049", "SETTLE must be seconds, more than 1 and less than DEADLINE", '"SETTLE": 3'
            )

    def _connect(self) -> SecretClient:
        return SecretClient(
            vault_url=self._vault_url,
            credential=self._make_credential(),
            connection_timeout=self._timeout,
            read_timeout=self._timeout,
            retry_total=0,
            permit_redirects=False,
        )

    def _make_credential(self) -> Any:
        if self._credential is not None:
            return import_string(self._credential)()
        # The credential's requests don't use the client's time-outs; by default they take minutes.
        limits: dict[str, Any] = {
            "connection_timeout": self._timeout,
            "read_timeout": self._timeout,
            "retry_total": 1,
        }
        if self._tenant_id and self._client_id and self._client_secret:
            return ClientSecretCredential(
                self._tenant_id, self._client_id, self._client_secret, **limits
            )
        return DefaultAzureCredential(managed_identity_client_id=self._client_id, **limits)

    def _find(self, client: SecretClient) -> Stored:
        try:
            latest = client.get_secret(self._name)
        except exceptions.HttpResponseError as refused:
            if _code(refused) == "SecretNotFound":
                return Stored(text=None, version=NOTHING)
            if _code(refused) != "SecretDisabled":
                raise
        else:
            if Version.of(latest.properties).is_certain:
                return _stored(latest)
        current = self._read_history(client).find_current()
        if current is None:
            return Stored(
                text=None,
                version=NOTHING,
                absence="every version is disabled. Enable the last good one, or ",
            )
        return _stored(client.get_secret(self._name, current.id))

    def _swap(self, client: SecretClient, stored: Stored, text: str) -> None:
        tags = {FOLLOWS: stored.version}
        made = client.set_secret(self._name, text, content_type="application/json", tags=tags)
        version = Version.of(made.properties).id
        sleep(self._settle)
        try:
            history = self._remote.attempt(self._read_history, pauses=PAUSES)
        except Exception as error:
            raise Unsure from error
        if history.has_won(version):
            self._mark(client, version, tags=tags | {SETTLED: "yes"})
        else:
            # Other programs read the last version. An error is better for them than a ring that is
            # not in use.
            self._mark(client, version, enabled=False, tags=tags | {LOST: "yes"})
            raise Overtaken

    def _read_history(self, client: SecretClient) -> History:
        versions = client.list_properties_of_secret_versions(self._name)
        return History(map(Version.of, versions))

    def _mark(self, client: SecretClient, version: str, **properties: Any) -> None:
        """Save readers the work. Without the mark they come to the same result by the list."""
        with suppress(exceptions.AzureError):
            client.update_secret_properties(self._name, version, **properties)

    def _explain(self, error: Exception) -> Fault:
        status = error.status_code if isinstance(error, exceptions.HttpResponseError) else None
        has_no_token = (
            isinstance(error, exceptions.ClientAuthenticationError) and status != _REFUSED
        )
        if status is None or has_no_token:
            return Fault(
                reason=type(error).__name__,
                passes=isinstance(error, _PASSING),
                credential=has_no_token,
            )
        code = str(_code(error) or "")
        name = code if _CODE.fullmatch(code) else type(error).__name__
        return Fault(
            reason=f"{name} (HTTP status {status})",
            passes=status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == _TOO_MANY,
            credential=status == _REFUSED,
            refused=HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR,
        )


def _is_callable(path: Any) -> bool:
    try:
        return callable(import_string(path))
    except (ImportError, AttributeError, TypeError, ValueError):
        return False


def _stored(secret: KeyVaultSecret) -> Stored:
    return Stored(text=secret.value or "", version=Version.of(secret.properties).id)


def _code(refused: Any) -> str | None:
    """The innermost of the error codes. A proxy's page has none."""
    inner: Mapping[str, Any] = getattr(refused.error, "innererror", None) or {}
    return inner.get("code") or getattr(refused.error, "code", None)
