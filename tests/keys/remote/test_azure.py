"""Azure Key Vault, by its REST API over TLS: the SDK's own client, pipeline and credentials."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from jwt_auth.exceptions import KeyRingMissing, KeyStoreError, KeyStoreUnavailable
from jwt_auth.keys.ring import KeyRing
from tests.keys.remote.azure_process import HOST, resolve_here
from tests.keys.remote.azure_server import (
    READ,
    TOKEN,
    KeyVault,
    NextCredential,
    StaticCredential,
    error,
)
from tests.keys.remote.contract import DEADLINE, TIMEOUT, RemoteContract, RemoteStorage
from tests.keys.remote.libraries import require
from tests.keys.remote.service import Answer, Request, Service

require("azure.identity", "django-jwt-sessions[azure]")
require("azure.keyvault.secrets", "django-jwt-sessions[azure]")

from jwt_auth.keys.stores.azure import AzureKeyVaultKeyStore  # noqa: E402

pytestmark = pytest.mark.remote

NAME = "example-jwt-keys"


class Seconds:
    """The vault's clock, which moves when a thread sleeps."""

    def __init__(self) -> None:
        self._time = 0.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self._time

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._time += seconds


class AzureStorage(RemoteStorage):
    backend = "jwt_auth.keys.stores.azure.AzureKeyVaultKeyStore"
    secrets = (TOKEN,)
    outage = "Service(Request|Response)Error"
    throttled = error(429, "Throttled")
    denied = error(403, "Forbidden", inner="ForbiddenByRbac")
    throttled_reason = "Throttled (HTTP status 429)"
    denied_reason = "ForbiddenByRbac (HTTP status 403)"

    def __init__(self, vault: KeyVault, service: Service, seconds: Seconds) -> None:
        self.vault = vault
        self.service = service
        self.seconds = seconds

    def options(self) -> dict[str, Any]:
        return {
            "VAULT_URL": f"https://{self.vault.address}/",
            "NAME": NAME,
            "CREDENTIAL": "tests.keys.remote.azure_server.StaticCredential",
            "TIMEOUT": TIMEOUT,
            "DEADLINE": DEADLINE,
        }

    def open(self, **options: Any) -> AzureKeyVaultKeyStore:
        return AzureKeyVaultKeyStore(**self.options() | options)

    def is_write(self, request: Request) -> bool:
        return request.method == "PUT"

    def put(self, content: bytes) -> None:
        """Write by hand and without a tag, as `az keyvault secret set` does, and apart from others:
        the times of versions are whole seconds.
        """
        self.seconds.sleep(2)
        self.vault.set(NAME, content.decode("latin-1"))
        self.seconds.sleep(2)

    def empty(self) -> None:
        del self.vault.secrets[NAME]


@pytest.fixture
def storage(
    certificate: tuple[Path, Path], tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> Iterator[AzureStorage]:
    """A vault in a separate domain, and an environment without any settings for Azure."""
    monkeypatch.setattr(socket, "getaddrinfo", resolve_here)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    monkeypatch.setenv("no_proxy", "*")
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "IDENTITY_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    seconds = Seconds()
    monkeypatch.setattr("jwt_auth.keys.stores.azure.sleep", seconds.sleep)
    vault = KeyVault(clock=seconds)
    with Service(vault.respond, tls).running() as service:
        vault.address = f"{HOST}:{service.port}"
        yield AzureStorage(vault, service, seconds)


class TestContract(RemoteContract):
    @pytest.mark.parametrize("expected", [None, 1])
    def test_write_between_our_read_and_our_write_wins(
        self, storage: RemoteStorage, ring: KeyRing, expected: int | None
    ) -> None:
        """The save finds it when it checks which version was first, and disables its own."""
        super().test_write_between_our_read_and_our_write_wins(storage, ring, expected)
        assert isinstance(storage, AzureStorage)
        assert storage.vault.secrets[NAME][-1].enabled is False


def test_load_of_a_settled_ring_is_one_request(storage: AzureStorage, ring: KeyRing) -> None:
    """Every server makes it once a minute."""
    storage.put_ring(ring)
    store = storage.open()
    store.load()
    storage.service.requests.clear()
    assert store.load() == ring
    assert [request.method for request in storage.service.requests] == ["GET"]


def test_redirect_is_not_followed(storage: AzureStorage, ring: KeyRing) -> None:
    """It could lead to a server that gives another ring."""
    storage.put_ring(ring)
    store = storage.open()
    store.load()
    there = f"https://{storage.vault.address}{storage.service.requests[-1].path}"
    storage.service.next.append(Answer(status=302, headers={"Location": there}))
    with pytest.raises(KeyStoreError):
        store.load()
    assert store.load() == ring


def test_writer_that_stops_before_it_has_looked_loses_nothing_of_others(
    storage: AzureStorage, ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its version is the last one, but isn't the ring: it follows a version that was replaced."""
    storage.put_ring(ring)
    following = ring.without("none")

    def die(seconds: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:

        def overtake() -> None:
            storage.open().save(following, expected_version=1)
            storage.seconds.sleep(2)
            patched.setattr("jwt_auth.keys.stores.azure.sleep", die)

        with storage.overtaken(overtake), pytest.raises(KeyboardInterrupt):
            storage.open().save(ring, expected_version=1)
    assert storage.vault.secrets[NAME][-1].value == ring.to_json()
    assert storage.open().load() == following
    again = following.without("none")
    storage.open().save(again, expected_version=following.version)
    assert storage.open().load() == again


def test_version_that_could_not_be_marked_has_been_saved(
    storage: AzureStorage, ring: KeyRing
) -> None:
    """Readers and the next writer see that it was the first, as if its writer had stopped."""
    storage.put_ring(ring)
    following = ring.without("none")
    with storage.refusing(lambda request: request.method == "PATCH", storage.denied) as marks:
        storage.open().save(following, expected_version=1)
    assert len(marks) == 1
    assert storage.open().load() == following
    third = following.without("none")
    storage.open().save(third, expected_version=2)
    assert storage.open().load() == third


def test_look_that_fails_leaves_the_outcome_open(
    storage: AzureStorage, ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version was written, and is the ring if it was the first."""
    storage.put_ring(ring)
    store = storage.open()
    following = ring.without("none")

    def leave(seconds: float) -> None:
        storage.service.always = storage.throttled

    with monkeypatch.context() as patched:
        patched.setattr("jwt_auth.keys.stores.azure.sleep", leave)
        with pytest.raises(KeyStoreError, match=r"Throttled.*may have been saved"):
            store.save(following, expected_version=1)
    storage.service.always = None
    assert store.load() == following


def test_disabled_version_takes_a_change_back(storage: AzureStorage, ring: KeyRing) -> None:
    """An operator does so in the portal. The next change follows the version that is in use."""
    storage.put_ring(ring)
    following = ring.without("none")
    storage.open().save(following, expected_version=1)
    storage.vault.secrets[NAME][-1].enabled = False
    assert storage.open().load() == ring
    storage.open().save(following, expected_version=1)
    assert storage.open().load() == following


def test_secret_with_no_enabled_version_says_so(storage: AzureStorage, ring: KeyRing) -> None:
    """It takes a new first ring."""
    storage.put_ring(ring)
    storage.vault.secrets[NAME][-1].enabled = False
    with pytest.raises(KeyRingMissing, match=r"every version is disabled.*generate_keys"):
        storage.open().load()
    storage.put_ring(ring)
    assert storage.open().load() == ring


def test_ring_is_found_among_many_pages_of_versions(storage: AzureStorage, ring: KeyRing) -> None:
    """The service lists them by id, 25 at a time."""
    for _ in range(60):
        storage.put(b"{}")
    storage.put(ring.to_json().encode())
    following = ring.without("none")
    storage.open().save(following, expected_version=1)
    storage.vault.secrets[NAME][-1].tags.pop("jwt-auth-settled")
    assert storage.open().load() == following


def test_deleted_secret_can_be_recovered(storage: AzureStorage, ring: KeyRing) -> None:
    """No secret can be made in its place until it is purged."""
    storage.put_ring(ring)
    storage.vault.deleted[NAME] = storage.vault.secrets.pop(NAME)
    with pytest.raises(KeyRingMissing):
        storage.open().load()
    with pytest.raises(KeyStoreError, match="ObjectIsDeletedButRecoverable"):
        storage.put_ring(ring)


def test_reader_can_not_save(storage: AzureStorage, ring: KeyRing) -> None:
    """A server needs only the role that reads."""
    storage.put_ring(ring)
    storage.vault.permissions = READ
    assert storage.open().load() == ring
    with pytest.raises(KeyStoreError, match="ForbiddenByRbac"):
        storage.open().save(ring, expected_version=1)


@pytest.mark.parametrize(
    ("answer", "reason", "passes"),
    [
        (error(400, "BadParameter"), "BadParameter (HTTP status 400)", False),
        (error(401, "Unauthorized"), "Unauthorized (HTTP status 401)", False),
        (error(403, "Forbidden", inner="ForbiddenByFirewall"), "ForbiddenByFirewall (HTTP", False),
        (error(503, "hunter2"), "HttpResponseError (HTTP status 503)", True),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_error_is_named_by_its_code_and_waited_for_if_it_passes(
    storage: AzureStorage, answer: Answer, reason: str, passes: bool
) -> None:
    """By a start. The innermost code is named. The message isn't quoted, nor a code that can't be
    one of Key Vault.
    """
    with storage.answering(answer), pytest.raises(KeyStoreError) as refused:
        storage.open().load()
    assert reason in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert isinstance(refused.value, KeyStoreUnavailable) is passes


@pytest.fixture
def identity(
    storage: AzureStorage, ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    """The source of the tokens of a machine that may read the ring."""
    storage.put_ring(ring)
    storage.vault.tokens = {"hunter-managed"}

    def respond(request: Request) -> Answer:
        assert request.headers["X-IDENTITY-HEADER"] == "hunter-header"
        resource = parse_qs(urlsplit(request.path).query)["resource"][0]
        token = "hunter-managed" if resource == storage.vault.resource else "other"
        return Answer.json(
            {"access_token": token, "expires_on": "4000000000", "token_type": "Bearer"}
        )

    with Service(respond).running() as service:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{service.port}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "hunter-header")
        yield service


def test_managed_identity_is_found_by_the_default_chain(
    storage: AzureStorage, ring: KeyRing, identity: Service
) -> None:
    """The options name no identity. The token is for the vault's domain."""
    assert storage.open(CREDENTIAL=None).load() == ring


def test_identity_that_is_away_for_a_moment_is_waited_for(
    storage: AzureStorage, ring: KeyRing, identity: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start waits, and the next load looks again."""
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
    store = storage.open(CREDENTIAL=None)
    identity.always = Answer.json({"error": "hunter2"}, status=400)
    with pytest.raises(KeyStoreUnavailable, match="ClientAuthenticationError"):
        store.load()
    identity.always = None
    assert store.load() == ring


@pytest.mark.parametrize(
    ("former", "reason"),
    [("hunter2", "Unauthorized"), (None, r"ClientAuthenticationError\. See")],
    ids=["by the vault", "by the source of the tokens"],
)
def test_credential_that_is_refused_is_made_again(
    storage: AzureStorage,
    ring: KeyRing,
    monkeypatch: pytest.MonkeyPatch,
    former: str | None,
    reason: str,
) -> None:
    """By the next load: its secret may have been replaced, and it keeps what it has read."""
    storage.put_ring(ring)
    monkeypatch.setattr(NextCredential, "token", former)
    store = storage.open(CREDENTIAL="tests.keys.remote.azure_server.NextCredential")
    with pytest.raises(KeyStoreError, match=reason) as refused:
        store.load()
    assert "hunter2" not in str(refused.value)
    monkeypatch.setattr(NextCredential, "token", TOKEN)
    assert store.load() == ring


def test_service_principal_of_the_options_is_used(
    storage: AzureStorage, ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the store's time-outs: the default ones are minutes."""
    made: list[tuple[tuple[str, ...], dict[str, Any]]] = []

    def make(*args: str, **limits: Any) -> StaticCredential:
        made.append((args, limits))
        return StaticCredential()

    monkeypatch.setattr("jwt_auth.keys.stores.azure.ClientSecretCredential", make)
    storage.put_ring(ring)
    principal = {"TENANT_ID": "tenant", "CLIENT_ID": "web", "CLIENT_SECRET": "hunter2"}
    store = storage.open(CREDENTIAL=None, **principal)
    assert store.load() == ring
    limits = {"connection_timeout": TIMEOUT, "read_timeout": TIMEOUT, "retry_total": 1}
    assert made == [(tuple(principal.values()), limits)]
    assert "hunter2" not in repr(store)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, []),
        ({"CLIENT_ID": "managed"}, []),
        ({"TENANT_ID": "t", "CLIENT_ID": "c", "CLIENT_SECRET": "hunter2"}, []),
        ({"TENANT_ID": "t"}, ["E048"]),
        ({"TENANT_ID": "t", "CLIENT_SECRET": "hunter2"}, ["E048"]),
        ({"CLIENT_ID": "c", "CLIENT_SECRET": "hunter2"}, ["E048"]),
        ({"CLIENT_ID": "c", "CREDENTIAL": "a.b"}, ["E034"]),
        ({"CREDENTIAL": "a.b"}, ["E035"]),
        ({"CREDENTIAL": "django.VERSION"}, ["E035"]),
        ({"CREDENTIAL": 5}, ["E035"]),
        ({"CREDENTIAL": "azure.identity.WorkloadIdentityCredential"}, []),
        ({"VAULT_URL": "ring.vault.azure.net"}, ["E046"]),
        ({"VAULT_URL": "http://ring.vault.azure.net"}, ["E039"]),
        ({"NAME": "jwt_keys"}, ["E047"]),
        ({"SETTLE": 1}, ["E049"]),
        ({"SETTLE": 10}, ["E049"]),
        ({"SETTLE": "3"}, ["E049"]),
        ({"DEADLINE": 0}, ["E045", "E049"]),
    ],
    ids=str,
)
def test_wrong_options_are_named(options: dict[str, Any], found: list[str]) -> None:
    """Before any request, and without a value."""
    good = {"VAULT_URL": "https://ring.vault.azure.net"}
    messages = AzureKeyVaultKeyStore(**good | options).check()
    assert [message.id for message in messages] == [f"jwt_auth.{number}" for number in found]
    assert "hunter2" not in str(messages)
