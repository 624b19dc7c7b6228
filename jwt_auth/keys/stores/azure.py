"""The key ring in a secret of Azure Key Vault.

Key Vault compares nothing when it sets a secret: every write becomes a version, and the last one
is what a plain reader gets. Which version is the ring, so that of two writers exactly one wins and
the other is told, :mod:`.azure_versions` says. A save takes some seconds for it; a load is one
request, unless a save is under way or was cut short.

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

from jwt_auth.keys.stores.azure_versions import (
    FOLLOWS,
    LOST,
    NOTHING,
    SETTLED,
    History,
    Version,
)
from jwt_auth.keys.stores.remote import (
    Overtaken,
    RemoteKeyStore,
    Stored,
    Trouble,
    Unsure,
    check_address,
    option_error,
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

_STATUSES: Final = {
    401: Trouble(
        reason="the credential was refused (401)",
        advice="Look at the identity and its secret; the vault must belong to the same tenant.",
        credential=True,
    ),
    403: Trouble(
        reason="permission denied (403)",
        advice="Give the identity the role Key Vault Secrets User on the secret, and to whoever"
        " changes keys Key Vault Secrets Officer; and have the vault's firewall let it in.",
    ),
    404: Trouble(reason="there is nothing at that address (404)", advice="Look at VAULT_URL."),
    409: Trouble(
        reason="the secret was deleted and can be recovered, or is just being so (409)",
        advice="Run `az keyvault secret recover`, or purge it.",
    ),
    429: Trouble(
        reason="too many requests at the moment (429)",
        advice="Look at the vault's service limits, and raise JWT_AUTH_KEY_RELOAD_INTERVAL.",
        passes=True,
    ),
}
_FAILED: Final = Trouble(reason="the service failed", passes=True, unsure=True)
_REFUSED: Final = Trouble(
    reason="the service can't work with the request", advice="Look at VAULT_URL and NAME."
)

_TROUBLES: Final = (
    (
        exceptions.ClientAuthenticationError,
        Trouble(
            reason="there is no credential, or none that is taken",
            advice="Give the machine a managed identity, or set AZURE_TENANT_ID, AZURE_CLIENT_ID"
            " and AZURE_CLIENT_SECRET.",
            credential=True,
            # A metadata endpoint that is away for a moment looks like a machine without identity.
            passes=True,
        ),
    ),
    (
        (exceptions.ServiceRequestTimeoutError,),
        Trouble(reason="no connection in time", passes=True),
    ),
    (
        exceptions.ServiceRequestError,
        Trouble(
            reason="no connection",
            advice="Look at VAULT_URL, the network and the server's certificate.",
            passes=True,
        ),
    ),
    (
        exceptions.ServiceResponseTimeoutError,
        Trouble(reason="no answer in time", passes=True, unsure=True),
    ),
    (
        (exceptions.ServiceResponseError, exceptions.DecodeError),
        Trouble(reason="no connection, or one that broke", passes=True, unsure=True),
    ),
    (
        (exceptions.AzureError, AttributeError, KeyError, TypeError, ValueError),
        Trouble(
            reason="that is no answer of Key Vault",
            advice="Look at VAULT_URL.",
            passes=True,
            unsure=True,
        ),
    ),
)


class AzureKeyVaultKeyStore(RemoteKeyStore):
    """Keeps the ring in the secret ``NAME`` of the vault at ``VAULT_URL``.

    The identity is found by ``DefaultAzureCredential``, unless the options name a service principal
    or, by a dotted path, a callable that gives a credential. ``SETTLE`` is the pause, in seconds,
    in which a save waits for others that were written at the same time.
    """

    limit = 25_600
    troubles = _TROUBLES

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
                "CREDENTIAL is not the dotted path of a callable that gives a credential",
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
        # Its own requests are not the client's, and wait for five minutes unless they are told.
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
            history = self._attempt(self._read_history)
        except Exception as error:
            raise Unsure from error
        if history.has_won(version):
            self._mark(client, version, tags=tags | {SETTLED: "yes"})
        else:
            # The last version is what other programs read: they had better see that something is
            # wrong than a ring that nobody uses.
            self._mark(client, version, enabled=False, tags=tags | {LOST: "yes"})
            raise Overtaken

    def _read_history(self, client: SecretClient) -> History:
        versions = client.list_properties_of_secret_versions(self._name)
        return History(map(Version.of, versions))

    def _mark(self, client: SecretClient, version: str, **properties: Any) -> None:
        """Tell readers what was found out, which without it they find out themselves."""
        with suppress(exceptions.AzureError):
            client.update_secret_properties(self._name, version, **properties)

    def _explain(self, error: Exception) -> Trouble | None:
        status = error.status_code if isinstance(error, exceptions.HttpResponseError) else None
        if status in _STATUSES:
            return _STATUSES[status]
        # What gives the tokens answers with statuses of its own.
        if status is None or isinstance(error, exceptions.ClientAuthenticationError):
            return super()._explain(error)
        return _FAILED if status >= HTTPStatus.INTERNAL_SERVER_ERROR else _REFUSED


def _is_callable(path: Any) -> bool:
    try:
        return callable(import_string(path))
    except (ImportError, AttributeError, TypeError, ValueError):
        return False


def _stored(secret: KeyVaultSecret) -> Stored:
    return Stored(text=secret.value or "", version=Version.of(secret.properties).id)


def _code(refused: exceptions.HttpResponseError) -> str | None:
    """The innermost of the error codes; a page of a proxy has none."""
    inner: Mapping[str, Any] = getattr(refused.error, "innererror", None) or {}
    return inner.get("code") or getattr(refused.error, "code", None)
