"""The address and the user agent of the client that sent a request.

A client can write anything into ``X-Forwarded-For``. Only the addresses that the project's proxies
have appended are trusted, and REST framework's ``NUM_PROXIES`` says how many proxies there are.
Unset means zero. REST framework's throttles, in contrast, then trust the whole header.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from django.http import HttpRequest
from rest_framework.settings import api_settings

from jwt_auth.models import Client


def client_of(request: HttpRequest) -> Client:
    return Client(
        ip_address=_address(request),
        # META, because request.headers would parse all headers at every request.
        user_agent=request.META.get("HTTP_USER_AGENT", "").replace("\0", ""),
    )


def network_of(address: str) -> str:
    """Return the address, or for IPv6 its /64 network, all of which one customer controls."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ip_network((parsed, 64), strict=False))
    return address


def _address(request: HttpRequest) -> str | None:
    proxies = api_settings.NUM_PROXIES or 0
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    if proxies and forwarded:
        hops = forwarded.split(",")
        return _normalized(hops[-min(proxies, len(hops))].strip())
    return _normalized(request.META.get("REMOTE_ADDR", ""))


@lru_cache(maxsize=1024)
def _normalized(candidate: str) -> str | None:
    try:
        # A scope, as in fe80::1%eth0, has a meaning on this machine only, and a database column
        # for addresses doesn't accept it.
        return str(ip_address(_without_port(candidate).partition("%")[0]))
    except ValueError:
        return None  # such as the empty REMOTE_ADDR of a Unix socket


def _without_port(text: str) -> str:
    """Cut off the port that some gateways append to the address."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
