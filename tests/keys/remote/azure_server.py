"""As much of Azure Key Vault's REST API as a key ring needs, by its documentation.

https://learn.microsoft.com/rest/api/keyvault/secrets, with the errors of
https://learn.microsoft.com/azure/key-vault/general/rest-error-codes and bodies as the service's
users report them. A request without a token is answered with the challenge that says where to get
one. Times of creation are whole seconds. So that no test has to wait for them, a second is shorter
here, or passes when a test says so.
"""

from __future__ import annotations

import importlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from tests.keys.remote.service import Answer, Request

TOKEN = "hunter-access-token"
TENANT = "3e2ba1a4-9d5f-4f6f-8d4c-6f1c0a1b2c3d"

READ = frozenset({"get", "list"})
WRITE = frozenset({"get", "list", "set"})

_PERMISSIONS = {"GET": "get", "PUT": "set", "PATCH": "set"}

#: How long a second is.
SECOND = 0.05
PAGE = 25


class StaticCredential:
    """A token that was there before."""

    def get_token(self, *scopes: str, **options: Any) -> Any:
        return SimpleNamespace(token=TOKEN, expires_on=int(4e9))


class NextCredential:
    """Keeps the token that there was when it was made; without one, Microsoft Entra refuses it."""

    token: str | None = None

    def __init__(self) -> None:
        self._token = self.token

    def get_token(self, *scopes: str, **options: Any) -> Any:
        if self._token is not None:
            return SimpleNamespace(token=self._token, expires_on=int(4e9))
        exceptions = importlib.import_module("azure.core.exceptions")
        raise exceptions.ClientAuthenticationError(
            "AADSTS700016 hunter2", response=SimpleNamespace(status_code=400, reason="Bad Request")
        )


@dataclass(slots=True)
class SecretVersion:
    value: str
    tags: dict[str, str]
    created: int
    enabled: bool = True
    id: str = field(default_factory=lambda: uuid4().hex)


@dataclass(slots=True)
class KeyVault:
    """The vault's memory; ``permissions`` are those of the one identity."""

    #: Host and port, as clients name them; the resource is the domain above.
    address: str = ""
    permissions: frozenset[str] = WRITE
    tokens: set[str] = field(default_factory=lambda: {TOKEN})
    secrets: dict[str, list[SecretVersion]] = field(default_factory=dict)
    deleted: dict[str, list[SecretVersion]] = field(default_factory=dict)
    #: The time in seconds, with fractions.
    clock: Callable[[], float] = lambda: monotonic() / SECOND
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def resource(self) -> str:
        return f"https://{self.address.partition('.')[2]}"

    def respond(self, request: Request) -> Answer:
        with self._lock:
            return self._route(request)

    def set(self, name: str, value: str, tags: dict[str, str] | None = None) -> SecretVersion:
        version = SecretVersion(value, tags or {}, 1_900_000_000 + int(self.clock()))
        self.secrets.setdefault(name, []).append(version)
        return version

    def _route(self, request: Request) -> Answer:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return self._challenge()
        url = urlsplit(request.path)
        match = re.fullmatch(r"/secrets/([0-9A-Za-z-]+)(?:/(versions|\w*))?", url.path)
        if match is None or "api-version" not in parse_qs(url.query):
            return error(400, "BadParameter")
        name, version = match[1], match[2] or ""
        is_list = version == "versions"
        if ("list" if is_list else _PERMISSIONS[request.method]) not in self.permissions:
            return error(403, "Forbidden", inner="ForbiddenByRbac")
        if is_list:
            return self._list(name, int(parse_qs(url.query).get("$skiptoken", ["0"])[0]))
        act = {"GET": self._get, "PUT": self._put, "PATCH": self._patch}[request.method]
        return act(name, version, request)

    def _challenge(self) -> Answer:
        answer = error(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")
        authorization = f"https://login.microsoftonline.com/{TENANT}"
        challenge = f'Bearer authorization="{authorization}", resource="{self.resource}"'
        return Answer(
            status=401, body=answer.body, headers=answer.headers | {"WWW-Authenticate": challenge}
        )

    def _list(self, name: str, start: int) -> Answer:
        versions = self.secrets.get(name, [])
        # By id, not by age, as the service does.
        page = sorted(versions, key=lambda version: version.id)[start : start + PAGE]
        more = start + PAGE < len(versions)
        link = f"https://{self.address}/secrets/{name}/versions?api-version=7.4&$skiptoken="
        return Answer.json(
            {
                "value": [self._describe(name, version) for version in page],
                "nextLink": f"{link}{start + PAGE}" if more else None,
            }
        )

    def _get(self, name: str, version: str, request: Request) -> Answer:
        found = self._find(name, version)
        if found is None:
            return error(404, "SecretNotFound")
        if not found.enabled:
            return error(
                403,
                "Forbidden",
                "Operation get is not allowed on a disabled secret.",
                "SecretDisabled",
            )
        return Answer.json({"value": found.value} | self._describe(name, found))

    def _put(self, name: str, version: str, request: Request) -> Answer:
        if name in self.deleted:
            return error(409, "Conflict", inner="ObjectIsDeletedButRecoverable")
        body = request.json
        if len(body["value"]) > 25 * 1024:
            return error(400, "BadParameter")
        made = self.set(name, body["value"], body.get("tags"))
        return Answer.json({"value": made.value} | self._describe(name, made))

    def _patch(self, name: str, version: str, request: Request) -> Answer:
        found = self._find(name, version)
        if found is None:
            return error(404, "SecretNotFound")
        body = request.json
        found.enabled = (body.get("attributes") or {}).get("enabled", found.enabled)
        found.tags = body.get("tags") or found.tags
        return Answer.json(self._describe(name, found))

    def _find(self, name: str, version: str) -> SecretVersion | None:
        versions = self.secrets.get(name, [])
        if not version:
            return versions[-1] if versions else None
        return next((found for found in versions if found.id == version), None)

    def _describe(self, name: str, version: SecretVersion) -> dict[str, Any]:
        attributes = {
            "enabled": version.enabled,
            "created": version.created,
            "updated": version.created,
            "recoveryLevel": "Recoverable+Purgeable",
        }
        address = f"https://{self.address}/secrets/{name}/{version.id}"
        return {"id": address, "attributes": attributes, "tags": version.tags}


def error(status: int, code: str, message: str = "hunter2", inner: str | None = None) -> Answer:
    content: dict[str, Any] = {"code": code, "message": message}
    if inner is not None:
        content["innererror"] = {"code": inner}
    body = json.dumps({"error": content}).encode()
    headers = {"Content-Type": "application/json; charset=utf-8"}
    if status == 429:
        headers["Retry-After"] = "30"
    return Answer(status=status, body=body, headers=headers)
