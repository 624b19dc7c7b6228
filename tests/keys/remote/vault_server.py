"""As much of HashiCorp Vault's HTTP API as a key ring needs, by its documentation.

Status codes and errors: https://developer.hashicorp.com/vault/api-docs; the KV engine, version 2:
.../secret/kv/kv-v2; logins: .../auth/approle, .../auth/kubernetes. Where the documentation is
silent, what the engine's source does (hashicorp/vault-plugin-secrets-kv, path_data.go).
"""

from __future__ import annotations

import re
import secrets
import threading
from dataclasses import dataclass, field
from typing import Any

from tests.keys.remote.service import Answer, Request

READ = frozenset({"read"})
WRITE = frozenset({"read", "create", "update"})

_CREATED = "2030-01-01T12:00:00.123456789Z"


@dataclass(slots=True)
class Version:
    data: Any
    deleted: bool = False
    destroyed: bool = False
    #: A time to come at which the engine will delete it.
    expires: str = ""

    def metadata(self, number: int) -> dict[str, Any]:
        return {
            "created_time": _CREATED,
            "custom_metadata": None,
            "deletion_time": _CREATED if self.deleted else self.expires,
            "destroyed": self.destroyed,
            "version": number,
        }


@dataclass(slots=True)
class Vault:
    """The server's memory. A policy is a set of capabilities on everything in ``data/``."""

    tokens: dict[str, frozenset[str]] = field(default_factory=dict)
    #: role_id to secret_id, and to the policy of the tokens that a log-in gives.
    approles: dict[str, tuple[str, frozenset[str]]] = field(default_factory=dict)
    #: Name of the role to the service account's token that it takes, and the policy.
    kubernetes: dict[str, tuple[str, frozenset[str]]] = field(default_factory=dict)
    #: By namespace and path, with the engine's name before it unless that is ``secret``. The first
    #: version is number 1.
    secrets: dict[tuple[str, str], list[Version]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def respond(self, request: Request) -> Answer:
        with self._lock:
            return self._route(request)

    def _route(self, request: Request) -> Answer:  # noqa: PLR0911  one for each way to be refused
        if request.headers.get("X-Vault-Request") != "true":
            return errors(412, "required 'X-Vault-Request' header is missing")
        path = request.path.partition("?")[0]
        if match := re.fullmatch(r"/v1/auth/([\w-]+)/login", path):
            return self._log_in(match[1], request.json)
        capabilities = self.tokens.get(request.headers.get("X-Vault-Token", ""))
        match = re.fullmatch(r"/v1/(?:secret|(kv))/data/(.+)", path)
        if capabilities is None:
            return errors(403, "permission denied", "invalid token")
        if match is None:
            # To one whose policy does not name it, a mount that is not there looks like this, too.
            return errors(403, "permission denied")
        key = request.headers.get("X-Vault-Namespace", ""), "/".join(filter(None, match.groups()))
        if request.method == "GET":
            return self._read(key) if "read" in capabilities else errors(403, "permission denied")
        needed = "update" if key in self.secrets else "create"
        if needed not in capabilities:
            return errors(403, "1 error occurred:\n\t* permission denied\n\n")
        return self._write(key, request.json)

    def _log_in(self, mount: str, body: dict[str, str]) -> Answer:
        if mount == "approle":
            secret, policy = self.approles.get(body["role_id"], (None, READ))
            if secret is None or body["secret_id"] != secret:
                return errors(400, "invalid role or secret ID")
        elif mount == "kubernetes":
            secret, policy = self.kubernetes.get(body["role"], (None, READ))
            if secret is None or body["jwt"] != secret:
                return errors(403, "permission denied")
        else:
            return errors(403, "permission denied")
        token = "hvs." + secrets.token_urlsafe(24)
        self.tokens[token] = policy
        auth = {"client_token": token, "lease_duration": 1200, "renewable": True, "policies": []}
        return envelope({"auth": auth, "data": None})

    def _read(self, key: tuple[str, str]) -> Answer:
        versions = self.secrets.get(key)
        if not versions:
            return errors(404)
        latest = versions[-1]
        gone = latest.deleted or latest.destroyed
        data = {"data": None if gone else latest.data, "metadata": latest.metadata(len(versions))}
        return envelope({"data": data}, status=404 if gone else 200)

    def _write(self, key: tuple[str, str], body: dict[str, Any]) -> Answer:
        versions = self.secrets.get(key, [])
        if not isinstance(body.get("data"), dict):
            return errors(400, "no data provided")
        cas = body.get("options", {}).get("cas")
        if cas is not None and cas != len(versions):
            return errors(400, "check-and-set parameter did not match the current version")
        self.secrets[key] = [*versions, Version(body["data"])]
        return envelope({"data": self.secrets[key][-1].metadata(len(versions) + 1)})


def envelope(content: dict[str, Any], status: int = 200) -> Answer:
    outside = {
        "request_id": "b0c5a1b2-0f6d-3d0e-7c1e-1d0a5a0f8f0e",
        "lease_id": "",
        "renewable": False,
        "lease_duration": 0,
        "data": None,
        "wrap_info": None,
        "warnings": None,
        "auth": None,
    }
    return Answer.json(outside | content, status)


def errors(status: int, *texts: str) -> Answer:
    return Answer.json({"errors": list(texts)}, status)
