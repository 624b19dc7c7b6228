"""Where a request came from."""

from __future__ import annotations

import pytest
from django.test import RequestFactory
from pytest_django import Settings

from jwt_auth.http.addresses import client_of, network_of


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (None, "198.51.100.1", "192.0.2.1"),
        (0, "198.51.100.1", "192.0.2.1"),
        (1, None, "192.0.2.1"),
        (1, "", "192.0.2.1"),
        (1, "198.51.100.1", "198.51.100.1"),
        (1, "203.0.113.9, 198.51.100.1", "198.51.100.1"),
        (2, "203.0.113.9, 198.51.100.1", "203.0.113.9"),
        (2, "6.6.6.6,203.0.113.9,198.51.100.1", "203.0.113.9"),
        (3, "203.0.113.9", "203.0.113.9"),
        (1, "2001:db8::1", "2001:db8::1"),
        (1, "fe80::1%eth0", "fe80::1"),
        (1, "198.51.100.1:49152", "198.51.100.1"),
        (1, "[2001:db8::1]:49152", "2001:db8::1"),
        (1, "unknown", None),
        (1, "198.51.100.1\n6.6.6.6", None),
    ],
)
def test_forwarded_for_counts_as_far_as_the_project_says(
    proxies: int | None, forwarded: str | None, expected: str | None, settings: Settings
) -> None:
    """The last entries are our proxies' own, whatever stands before them is the client's."""
    settings.REST_FRAMEWORK = {"NUM_PROXIES": proxies}
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    request = RequestFactory(REMOTE_ADDR="192.0.2.1").get("/", headers=headers)
    assert client_of(request).ip_address == expected


@pytest.mark.parametrize("address", ["", "unix:"])
def test_unix_socket_has_no_address(address: str) -> None:
    """Behind one, without a proxy that is named, nobody's address is known."""
    assert client_of(RequestFactory(REMOTE_ADDR=address).get("/")).ip_address is None


def test_user_agent_has_no_nul() -> None:
    """PostgreSQL takes none."""
    request = RequestFactory().get("/", headers={"User-Agent": "a\0b"})
    assert client_of(request).user_agent == "ab"


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ],
)
def test_ipv6_customer_is_one_network(address: str, network: str) -> None:
    """A /64 is what one customer commands; an IPv4 address in IPv6 form is that address."""
    assert network_of(address) == network
