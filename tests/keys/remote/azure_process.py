"""For processes that a test starts: the vault's host is this machine, and the token is there."""

from __future__ import annotations

import socket
from typing import Any

from tests.keys.remote.azure_server import StaticCredential

HOST = "ring.vault.example"

_resolve = socket.getaddrinfo


def resolve_here(host: Any, *args: Any, **options: Any) -> Any:
    return _resolve("127.0.0.1" if host == HOST else host, *args, **options)


def credential() -> StaticCredential:
    socket.getaddrinfo = resolve_here
    return StaticCredential()
