"""Introspection and revocation as other services ask for them, over HTTPS and between processes."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata

from tests.live.site import COMMAND_TIMEOUT, ROOT, Server, Site
from tests.live.test_transcript import COOKIE, hello, log_in
from tests.programs import need

pytestmark = [pytest.mark.live, pytest.mark.example]

PAGE = (ROOT / "docs/how-to/service-clients.md").read_text()
METADATA = "/.well-known/oauth-authorization-server"
_numbers = count()


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """What `create_service_client` prints."""

    name: str
    client_id: str
    client_secret: str

    @property
    def auth(self) -> tuple[str, str]:
        """HTTP Basic, for requests."""
        return self.client_id, self.client_secret


@pytest.fixture
def credentials(site: Site) -> Credentials:
    """A client of its own for each test."""
    name = f"gateway {next(_numbers)}"
    return Credentials(
        name=name, **json.loads(site.manage("create_service_client", name, "--format", "json"))
    )


def introspect(client: requests.Session, credentials: Credentials, token: str) -> requests.Response:
    return client.post("/api/auth/introspect/", data={"token": token}, auth=credentials.auth)


# ---- The page


def _run(line: str, server: Server, **variables: str) -> str:
    """Run a line of the page against the server."""
    need("curl")
    environment = {**os.environ, **variables, "CURL_CA_BUNDLE": str(server.certificate)}
    done = subprocess.run(
        ["sh", "-ec", line.replace("https://www.example.com", server.address)],
        env={**environment, "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT,
        check=True,
    )
    return done.stdout


def test_lines_of_the_page_do_what_it_says(
    server: Server, client: requests.Session, credentials: Credentials
) -> None:
    """Ask, revoke, ask again."""
    ask, revoke = re.findall(r"^(curl .*)$", PAGE, re.MULTILINE)
    good, bad = map(json.loads, re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
    variables = {
        "CLIENT_ID": credentials.client_id,
        "CLIENT_SECRET": credentials.client_secret,
        "TOKEN": log_in(client),
    }
    said = json.loads(_run(ask, server, **variables))
    # The example project's users have a tenant, and roles are their groups.
    assert {name: type(value) for name, value in said.items()} == {
        name: type(value) for name, value in good.items() if name in said
    }
    assert good.keys() - said.keys() <= {"tenant"}
    assert _run(revoke, server, **variables) == ""
    assert json.loads(_run(ask, server, **variables)) == bad


def test_commands_of_the_page_do_what_it_says(site: Site, client: requests.Session) -> None:
    """Create a client, and withdraw it."""
    create, deactivate = re.findall(r"^python manage.py (.*)$", PAGE, re.MULTILINE)
    shown = re.search(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert shown is not None
    said = site.manage(*create.split())
    assert re.sub(r": \S+", "", said) == re.sub(r": \S+", "", shown[1])
    found = dict(line.split(": ") for line in said.splitlines())
    credentials = Credentials(name="gateway", **found)
    assert introspect(client, credentials, "x").status_code == 200
    site.manage(*deactivate.split())
    assert introspect(client, credentials, "x").status_code == 401


# ---- An independent client


@pytest.fixture
def authlib(server: Server, credentials: Credentials) -> Iterator[Any]:
    """Authlib's OAuth 2.0 client."""
    with OAuth2Session(
        credentials.client_id,
        credentials.client_secret,
        token_endpoint_auth_method="client_secret_basic",
        revocation_endpoint_auth_method="client_secret_basic",
    ) as session:
        session.verify = str(server.certificate)
        session.trust_env = False
        yield session


def test_authlib_introspects_and_revokes(
    server: Server, client: requests.Session, authlib: Any
) -> None:
    """With hints, right and wrong; the refresh token ends the session."""
    token = log_in(client)
    refresh_token = client.cookies[COOKIE]
    metadata = client.get(METADATA).json()
    ask, revoke = (
        server.address + urlsplit(metadata[f"{name}_endpoint"]).path
        for name in ("introspection", "revocation")
    )
    for hint in ("access_token", "refresh_token"):
        answer = authlib.introspect_token(ask, token=token, token_type_hint=hint)
        assert answer.json()["active"] is True
    assert authlib.introspect_token(ask, token=refresh_token).json() == {"active": False}
    answer = authlib.revoke_token(revoke, token=refresh_token, token_type_hint="access_token")
    assert answer.status_code == 200
    assert authlib.introspect_token(ask, token=token).json() == {"active": False}
    assert hello(client, token) == 401


def test_authlib_accepts_the_metadata(client: requests.Session) -> None:
    """Each member by itself. As a whole it isn't an OAuth server's: there is no token endpoint."""
    metadata = AuthorizationServerMetadata(client.get(METADATA).json())
    metadata.validate_issuer()
    metadata.validate_jwks_uri()
    for endpoint in ("introspection", "revocation"):
        assert metadata[f"{endpoint}_endpoint"]
        getattr(metadata, f"validate_{endpoint}_endpoint")()
        getattr(metadata, f"validate_{endpoint}_endpoint_auth_methods_supported")()


# ---- Several processes


def test_deactivation_by_a_command_is_followed_by_every_worker(
    site: Site, server: Server, credentials: Credentials
) -> None:
    """At once, although each remembers the secret."""

    def ask(client: requests.Session) -> int:
        return introspect(client, credentials, "x").status_code

    assert set(server.ask_many(ask)) == {200}
    site.manage("deactivate_service_client", credentials.name)
    assert set(server.ask_many(ask)) == {401}


def test_secret_is_nowhere_but_in_the_answer_of_the_command(
    site: Site,
    server: Server,
    client: requests.Session,
    credentials: Credentials,
    dump_database: Any,
) -> None:
    """Neither in the database nor in the log."""
    wrong = Credentials(name="", client_id=credentials.client_id, client_secret="a-wrong-secret")
    assert introspect(client, credentials, "x").status_code == 200
    assert introspect(client, wrong, "x").status_code == 401
    texts = [str(dump_database()), server.read_log()]
    assert credentials.name in texts[0]
    assert "service_client_refused" in texts[1]
    for secret in (credentials.client_secret, wrong.client_secret):
        assert not [text for text in texts if secret in text]
