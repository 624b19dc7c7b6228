"""HashiCorp Vault: KV version 2, its logins, and its answers when something is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jwt_auth.exceptions import (
    KeyRingMissing,
    KeyStoreError,
    KeyStoreUnavailable,
)
from jwt_auth.keys.ring import KeyRing
from tests.keys.remote.contract import DEADLINE, TIMEOUT, AddressContract, RemoteStorage
from tests.keys.remote.libraries import require
from tests.keys.remote.service import Answer, Request, Service
from tests.keys.remote.vault_server import READ, WRITE, Vault, Version, errors

hvac = require("hvac", "django-jwt-sessions[vault]")

from jwt_auth.keys.stores.vault import VaultKeyStore  # noqa: E402

pytestmark = pytest.mark.remote

ROOT = Path(__file__).resolve().parents[3]
TOKEN = "hvs.hunter-token"
KEY = ("", "example/keys")


class VaultStorage(RemoteStorage):
    backend = "jwt_auth.keys.stores.vault.VaultKeyStore"
    secrets = (TOKEN,)
    outage = "ConnectionError"
    throttled = errors(429, 'request path "secret/data": rate limit quota exceeded')
    denied = errors(403, "1 error occurred:\n\t* permission denied\n\n")
    failed = errors(500, "internal error hunter2")
    throttled_reason = "RateLimitExceeded"
    denied_reason = "Forbidden"

    def __init__(self, vault: Vault, service: Service) -> None:
        self.vault = vault
        self.service = service

    def options(self) -> dict[str, Any]:
        return {
            "URL": f"http://127.0.0.1:{self.service.port}",
            "PATH": KEY[1],
            "TOKEN": TOKEN,
            "TIMEOUT": TIMEOUT,
            "DEADLINE": DEADLINE,
        }

    def open(self, **options: Any) -> VaultKeyStore:
        return VaultKeyStore(**self.options() | options)

    def is_write(self, request: Request) -> bool:
        return request.method == "POST" and "/data/" in request.path

    def put(self, content: bytes) -> None:
        """Write as `vault kv put` would: an object as it is, other things under a name."""
        try:
            data = json.loads(content)
        except (ValueError, RecursionError):
            data = content.decode("latin-1")
        data = data if isinstance(data, dict) else {"value": data}
        self.vault.secrets.setdefault(KEY, []).append(Version(data))

    def empty(self) -> None:
        self.vault.secrets[KEY][-1].deleted = True


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Vault:
    """A Vault, and an environment without any settings for it."""
    for name in ("VAULT_ADDR", "VAULT_TOKEN", "VAULT_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return Vault(tokens={TOKEN: WRITE})


@pytest.fixture
def storage(vault: Vault) -> Iterator[VaultStorage]:
    with Service(vault.respond).running() as service:
        yield VaultStorage(vault, service)


class TestContract(AddressContract):
    address = "URL"


def test_document_is_the_secret_itself(storage: VaultStorage, ring: KeyRing) -> None:
    """As `vault kv put secret/example/keys @ring.json` would have written it."""
    storage.put_ring(ring)
    (version,) = storage.vault.secrets[KEY]
    assert KeyRing.from_json(json.dumps(version.data)) == ring


def test_ring_is_kept_in_the_engine_of_the_options(storage: VaultStorage, ring: KeyRing) -> None:
    """Read and written there, and nowhere else."""
    store = storage.open(MOUNT_POINT="kv")
    store.save(ring, expected_version=None)
    assert store.load() == ring
    assert list(storage.vault.secrets) == [("", "kv/example/keys")]


@pytest.mark.parametrize(
    ("state", "way"), [("deleted", "vault kv undelete"), ("destroyed", "vault kv rollback")]
)
def test_version_that_was_taken_away_can_be_brought_back(
    storage: VaultStorage, ring: KeyRing, state: str, way: str
) -> None:
    """Or made again, once: the numbers of the secret's versions continue."""
    storage.put_ring(ring)
    setattr(storage.vault.secrets[KEY][-1], state, True)
    with pytest.raises(KeyRingMissing, match=f"version 1 was deleted.*{way}.*generate_keys"):
        storage.open().load()
    storage.put_ring(ring)
    assert storage.open().load() == ring
    assert len(storage.vault.secrets[KEY]) == 2


@pytest.mark.parametrize(
    ("answer", "reason", "passes"),
    [
        (errors(400, "hunter2"), "InvalidRequest", False),
        (errors(404, "no handler for route hunter2"), "InvalidPath", False),
        (errors(412, "required state not present"), "UnexpectedError", True),
        (errors(501, "hunter2"), "VaultNotInitialized", False),
        (errors(502, "hunter2"), "BadGateway", True),
        (errors(503, "Vault is sealed"), "VaultDown", True),
    ],
    ids=lambda value: str(getattr(value, "status", "")),
)
def test_error_is_named_by_its_class_and_waited_for_if_it_passes(
    storage: VaultStorage, answer: Answer, reason: str, passes: bool
) -> None:
    """By a start. Its message isn't quoted."""
    with storage.answering(answer), pytest.raises(KeyStoreError, match=reason) as refused:
        storage.open().load()
    assert "hunter2" not in str(refused.value)
    assert isinstance(refused.value, KeyStoreUnavailable) is passes


def test_write_that_is_refused_for_another_reason_is_no_conflict(
    storage: VaultStorage, ring: KeyRing
) -> None:
    """Otherwise `rotate_keys --if-due` would try again and again."""
    with (
        storage.refusing(storage.is_write, errors(400, "hunter2")),
        pytest.raises(KeyStoreError, match="InvalidRequest"),
    ):
        storage.put_ring(ring)


# ---- Address and credential


def test_environment_says_where_and_who(
    storage: VaultStorage, ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with Vault's own command: address, token and namespace."""
    monkeypatch.setenv("VAULT_ADDR", f"http://127.0.0.1:{storage.service.port}/")
    monkeypatch.setenv("VAULT_TOKEN", TOKEN)
    monkeypatch.setenv("VAULT_NAMESPACE", "team-a")
    store = VaultKeyStore(PATH="/example/keys/")
    store.save(ring, expected_version=None)
    assert store.load() == ring
    assert list(storage.vault.secrets) == [("team-a", "example/keys")]
    assert "namespace team-a" in store.describe()


def test_token_file_of_the_command_is_read(
    storage: VaultStorage, ring: KeyRing, tmp_path: Path
) -> None:
    """Without options and variables: the file that `vault login` has written."""
    storage.put_ring(ring)
    (tmp_path / ".vault-token").write_text(f"{TOKEN}\n")
    assert storage.open(TOKEN=None).load() == ring


def test_token_file_that_was_rewritten_is_read_again(
    storage: VaultStorage, ring: KeyRing, tmp_path: Path
) -> None:
    """Vault Agent rewrites it each time it has a new token."""
    storage.put_ring(ring)
    file = tmp_path / "token"
    file.write_text(TOKEN)
    store = storage.open(TOKEN=None, TOKEN_FILE=str(file))
    assert store.load() == ring
    storage.vault.tokens = {"hvs.next": READ}
    file.write_text("hvs.next\n")
    assert store.load() == ring


def test_no_token_says_which_to_set(storage: VaultStorage) -> None:
    """No request is made."""
    with pytest.raises(KeyStoreError, match="NoToken"):
        storage.open(TOKEN=None).load()
    assert storage.service.requests == []


def test_approle_logs_in_and_again_when_its_token_is_over(
    storage: VaultStorage, ring: KeyRing
) -> None:
    """It doesn't log in for every load."""
    storage.put_ring(ring)
    storage.vault.approles["role-1"] = ("hunter-secret", READ)
    store = storage.open(TOKEN=None, ROLE_ID="role-1", SECRET_ID="hunter-secret")
    storage.service.requests.clear()
    assert [store.load(), store.load()] == [ring, ring]
    storage.vault.tokens.clear()
    assert store.load() == ring
    paths = [request.path.rpartition("/")[2] for request in storage.service.requests]
    assert paths == ["login", "keys", "keys", "keys", "login", "keys"]


def test_approle_does_not_send_a_token_that_lies_about(
    storage: VaultStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could be the developer's token, on their machine."""
    monkeypatch.setenv("VAULT_TOKEN", "hvs.own")
    storage.vault.approles["role-1"] = ("hunter-secret", READ)
    with pytest.raises(KeyRingMissing):
        storage.open(TOKEN=None, ROLE_ID="role-1", SECRET_ID="hunter-secret").load()
    assert "hvs.own" not in str([dict(request.headers) for request in storage.service.requests])


def test_kubernetes_logs_in_with_the_service_account(
    storage: VaultStorage, ring: KeyRing, tmp_path: Path
) -> None:
    """The store reads its token for every login: Kubernetes replaces it every hour."""
    storage.put_ring(ring)
    file = tmp_path / "service-account"
    file.write_text("first")
    storage.vault.kubernetes["web"] = ("first", READ)
    store = storage.open(TOKEN=None, KUBERNETES_ROLE="web", KUBERNETES_TOKEN_FILE=str(file))
    assert store.load() == ring
    file.write_text("second")
    storage.vault.kubernetes["web"] = ("second", READ)
    storage.vault.tokens.clear()
    assert store.load() == ring


def test_auth_mount_point_that_is_not_there_is_denied(storage: VaultStorage) -> None:
    """Vault doesn't tell a missing mount point from a refused login."""
    store = storage.open(TOKEN=None, ROLE_ID="r", SECRET_ID="s", AUTH_MOUNT_POINT="none")
    with pytest.raises(KeyStoreError, match="VaultLoginRefused"):
        store.load()
    assert storage.service.requests[-1].path == "/v1/auth/none/login"


def test_log_in_that_is_refused_is_waited_for(
    storage: VaultStorage, ring: KeyRing, tmp_path: Path
) -> None:
    """By a start: Vault also refuses a login while it can't reach Kubernetes."""
    storage.put_ring(ring)
    file = tmp_path / "service-account"
    file.write_text("a.b.c")
    store = storage.open(TOKEN=None, KUBERNETES_ROLE="web", KUBERNETES_TOKEN_FILE=str(file))
    with pytest.raises(KeyStoreUnavailable, match="VaultLoginRefused"):
        store.load()
    storage.vault.kubernetes["web"] = ("a.b.c", READ)
    assert store.load() == ring


def test_token_file_that_comes_late_is_waited_for(
    storage: VaultStorage, ring: KeyRing, tmp_path: Path
) -> None:
    """By a start: Vault Agent may start at the same time as the server."""
    storage.put_ring(ring)
    store = storage.open(TOKEN=None, TOKEN_FILE=str(tmp_path / "token"))
    with pytest.raises(KeyStoreUnavailable, match="FileNotFoundError"):
        store.load()
    (tmp_path / "token").write_text(TOKEN)
    assert store.load() == ring


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"TOKEN": "hvs.hunter-wrong"}, "Forbidden"),
        ({"TOKEN": None, "ROLE_ID": "role-1", "SECRET_ID": "hunter-wrong"}, "InvalidRequest"),
    ],
    ids=["token", "approle"],
)
def test_wrong_credential_is_not_waited_for(
    storage: VaultStorage, options: dict[str, Any], reason: str
) -> None:
    """It stays wrong, and Vault locks out a role that is tried with wrong secrets."""
    storage.vault.approles["role-1"] = ("hunter-secret", READ)
    with pytest.raises(KeyStoreError, match=reason) as refused:
        storage.open(**options).load()
    assert not isinstance(refused.value, KeyStoreUnavailable)
    assert "hunter" not in str(refused.value)
    assert len(storage.service.requests) == 1


@pytest.mark.parametrize(("number", "writes"), [(0, False), (1, True)])
def test_policies_of_the_documentation_suffice_and_give_no_more(
    storage: VaultStorage, ring: KeyRing, number: int, writes: bool
) -> None:
    """Those of docs/how-to/remote-key-stores.md: a server reads, the rotating job also writes."""
    page = (ROOT / "docs/how-to/remote-key-stores.md").read_text()
    found = re.findall(r'path "(.+?)" {\n  capabilities = (\[.+?\])\n}', page)
    path, capabilities = found[number]
    storage.put_ring(ring)
    storage.vault.tokens[TOKEN] = frozenset(json.loads(capabilities))
    store = storage.open()
    assert store.load() == ring
    assert storage.service.requests[-1].path == f"/v1/{path}"
    if writes:
        store.save(ring, expected_version=1)
        storage.vault.secrets.clear()
        store.save(ring, expected_version=None)
    else:
        with pytest.raises(KeyStoreError, match=r"written: Forbidden\."):
            store.save(ring, expected_version=1)


# ---- Options


def test_engine_that_deletes_old_versions_is_warned_of(
    storage: VaultStorage, ring: KeyRing
) -> None:
    """By `check --deploy`: some day the ring would be deleted. An outage isn't warned of."""
    storage.put_ring(ring)
    store = storage.open()
    assert store.check_server() == []
    storage.vault.secrets[KEY][-1].expires = "2031-01-01T12:00:00Z"
    (warning,) = store.check_server()
    assert warning.id == "jwt_auth.W046"
    assert "vault read secret/config" in str(warning.hint)
    with storage.unreachable():
        assert store.check_server() == []


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, []),
        ({"TIMEOUT": 0}, ["E045"]),
        ({"TIMEOUT": "3"}, ["E045"]),
        ({"DEADLINE": 61}, ["E045"]),
        ({"TIMEOUT": 9, "DEADLINE": 8}, ["E037"]),
        ({"URL": "vault.example.com:8200"}, ["E046"]),
        ({"URL": "https://[vault"}, ["E046"]),
        ({"URL": "https://user:hunter2@vault.example.com"}, ["E038"]),
        ({"URL": "http://vault.example.com:8200"}, ["W045"]),
        ({"PATH": "/"}, ["E047"]),
        ({"PATH": "secret/data/example"}, ["E047"]),
        ({"PATH": "data/example"}, ["E047"]),
        ({"ROLE_ID": "r", "SECRET_ID": "s"}, ["E034"]),
        ({"TOKEN": None, "ROLE_ID": "r"}, ["E048"]),
        ({"TOKEN": None, "SECRET_ID": "s"}, ["E048"]),
        ({"TOKEN": None, "ROLE_ID": "r", "SECRET_ID": "s"}, []),
    ],
    ids=str,
)
def test_wrong_options_are_named(options: dict[str, Any], found: list[str]) -> None:
    """Before any request, and without a value."""
    good = {"URL": "https://vault.example.com:8200", "PATH": "example/keys", "TOKEN": TOKEN}
    messages = VaultKeyStore(**good | options).check()
    assert [message.id for message in messages] == [f"jwt_auth.{number}" for number in found]
    assert not any(secret in str(messages) for secret in ("hunter2", TOKEN))
