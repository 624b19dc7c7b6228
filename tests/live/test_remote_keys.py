"""Servers whose keys are in a service that goes away, and nodes that rotate at once.

The short form has Vault, and an outage until it was noticed; the long one, or REMOTE_STORES=all and
OUTAGE_SECONDS=60, has AWS and Azure, too, and an outage of a minute.
"""

from __future__ import annotations

import json
import os
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jwt_auth.checks.keys import START_PATIENCE
from jwt_auth.keys import jwk
from jwt_auth.keys.remote_client import SEE_TABLE
from jwt_auth.keys.ring import KeyRing
from tests.keys.remote.azure_process import HOST
from tests.keys.remote.azure_server import TOKEN as AZURE_TOKEN
from tests.keys.remote.azure_server import KeyVault
from tests.keys.remote.libraries import require
from tests.keys.remote.moto_proxy import forward_to
from tests.keys.remote.service import Service
from tests.keys.remote.vault_server import READ, WRITE, Vault, Version
from tests.live.certificate import make_certificate
from tests.live.length import LONG
from tests.live.site import COMMAND_TIMEOUT, START_TIMEOUT, Server, Site
from tests.live.test_transcript import hello, kid_of, log_in
from tests.live.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.example]

IS_ALL = os.environ.get("REMOTE_STORES", "all" if LONG else "") == "all"
STORES = ("vault", "aws", "azure") if IS_ALL else ("vault",)

#: Seconds at least.
OUTAGE = float(os.environ.get("OUTAGE_SECONDS", "60" if LONG else "0"))

#: Seconds. The service is in this process, which may get no CPU for a while.
PATIENT = {"TIMEOUT": 20, "DEADLINE": 60}

NODES = 3


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A service with a ring whose key is due, and a site that keeps its keys there."""

    site: Site
    service: Service
    secret: str


@contextmanager
def vault(site: Site, folder: Path, ring: KeyRing) -> Iterator[Remote]:
    require("hvac", "django-jwt-sessions[vault]")
    server = Vault(tokens={"hunter-job": WRITE, "hunter-server": READ})
    server.secrets["", "keys"] = [Version(json.loads(ring.to_json()))]
    with Service(server.respond).running() as service:
        options = {"URL": f"http://127.0.0.1:{service.port}", "PATH": "keys"}
        kept = using(site, "vault.VaultKeyStore", options, VAULT_TOKEN="hunter-job")
        yield Remote(site=kept, service=service, secret="hunter")


@contextmanager
def aws(site: Site, folder: Path, ring: KeyRing) -> Iterator[Remote]:
    boto3, moto = (
        require("boto3", "django-jwt-sessions[aws]"),
        require("moto.server", "moto[server]"),
    )
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    port = server.get_host_and_port()[1]
    boto3.session.Session("a", "b", region_name="eu-central-1").client(
        "secretsmanager", endpoint_url=f"http://127.0.0.1:{port}"
    ).create_secret(Name=folder.name, SecretString=ring.to_json())
    with Service(forward_to(port)).running() as service:
        options = {"SECRET_ID": folder.name, "ENDPOINT_URL": f"http://127.0.0.1:{service.port}"}
        kept = using(
            site,
            "aws.AWSSecretsManagerKeyStore",
            options,
            AWS_DEFAULT_REGION="eu-central-1",
            AWS_ACCESS_KEY_ID="AKIAEXAMPLE",
            AWS_SECRET_ACCESS_KEY="hunter-secret",
            AWS_EC2_METADATA_DISABLED="true",
        )
        yield Remote(site=kept, service=service, secret="hunter")
    server.stop()


@contextmanager
def azure(site: Site, folder: Path, ring: KeyRing) -> Iterator[Remote]:
    require("azure.identity", "django-jwt-sessions[azure]")
    certificate, key = make_certificate(folder, HOST)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    server = KeyVault()
    server.set("keys", ring.to_json())
    with Service(server.respond, tls).running() as service:
        server.address = f"{HOST}:{service.port}"
        options = {
            "VAULT_URL": f"https://{server.address}",
            "NAME": "keys",
            "CREDENTIAL": "tests.keys.remote.azure_process.credential",
            "SETTLE": 1.5,
        }
        kept = using(
            site,
            "azure.AzureKeyVaultKeyStore",
            options,
            REQUESTS_CA_BUNDLE=str(certificate),
            no_proxy="*",
        )
        yield Remote(site=kept, service=service, secret=AZURE_TOKEN)


def using(site: Site, store: str, options: Mapping[str, object], **environment: str) -> Site:
    backend = {"BACKEND": f"jwt_auth.keys.stores.{store}", "OPTIONS": {**options, **PATIENT}}
    return site.using(
        JWT_AUTH_KEY_STORE=json.dumps(backend), JWT_AUTH_KEY_ROTATION_INTERVAL="3600", **environment
    )


@pytest.fixture(params=STORES)
def remote(request: pytest.FixtureRequest, site: Site, tmp_path: Path) -> Iterator[Remote]:
    before = datetime.now(UTC) - timedelta(hours=2)
    ring = KeyRing(version=0).with_next_key(
        jwk.generate("ES256"), before, before, timedelta(minutes=16)
    )
    with {"vault": vault, "aws": aws, "azure": azure}[request.param](site, tmp_path, ring) as found:
        yield found


def keys_of(remote: Remote) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(remote.site.manage("list_keys", "--format", "json"))
    return found


def test_nodes_that_rotate_at_once_rotate_once(remote: Remote) -> None:
    """From cron, at the same second: one makes the key, and the others see that it is not due."""
    nodes = [remote.site.launch("rotate_keys", "--if-due") for _ in range(NODES)]
    said = [node.communicate(timeout=COMMAND_TIMEOUT)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0] * NODES, said
    assert len(keys_of(remote)) == 2
    assert remote.secret not in "".join(said)


def test_outage_is_survived_by_servers_and_named_at_a_start(remote: Remote) -> None:
    """Requests go on with the keys that are there, and the log says why they are old; a new server
    waits with its start for a minute, then ends with the reason. Once the service is back, so is
    everything, and a rotation arrives.
    """
    with remote.site.serve() as server, server.session() as client:
        client.headers["Connection"] = "close"  # both workers
        token = log_in(client)
        with remote.service.being_away():
            ends = time.monotonic() + OUTAGE

            def is_noticed() -> bool:
                assert hello(client, token) == hello(client, log_in(client)) == 200
                return time.monotonic() > ends and "former copy stays in use" in server.read_log()

            wait_until(is_noticed, "a worker says why its keys are old", OUTAGE + START_TIMEOUT)
            with replace(remote.site, workers=1).start() as second:
                given_up = await_end_of_start(second)
        for log, reason in ((server, "former copy stays in use"), (second, given_up)):
            assert_said(log, remote, reason)
            assert_said(log, remote, SEE_TABLE)
        remote.site.manage("rotate_keys", "--now")
        wait_until(lambda: kid_of(log_in(client)) != kid_of(token), "the rotation arrives")
        assert hello(client, token) == 200


def await_end_of_start(server: Server) -> str:
    """Wait until the start says what it waits for, in the long form until it gives up."""
    if OUTAGE >= START_PATIENCE:
        assert server.process.wait(START_PATIENCE + START_TIMEOUT) != 0
        return "jwt_auth.E030"
    waits = "The start waits for the key store"
    wait_until(lambda: waits in server.read_log() or server.process.poll() is not None, waits)
    assert server.process.poll() is None
    return waits


def assert_said(server: Server, remote: Remote, reason: str) -> None:
    said = server.read_log()
    assert reason in said
    assert remote.secret not in said
    assert '"d"' not in said
