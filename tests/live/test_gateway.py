"""The gateways of docs/how-to/gateway.md: real ones, in front of a second service."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests.live import gateways, recorder
from tests.live.certificate import HOST
from tests.live.gateways import CLIENT, Gateway
from tests.live.recorder import Service
from tests.live.site import PASSWORD, Server, Site, bearer
from tests.live.test_transcript import log_in
from tests.live.waiting import wait_until
from tests.revocation.redis.servers import free_port

pytestmark = [pytest.mark.live, pytest.mark.example]

Start = Callable[..., AbstractContextManager[Gateway]]

STARTS: dict[str, Start] = {
    "nginx": gateways.nginx,
    "caddy": gateways.caddy,
    "envoy": gateways.envoy,
}
CHALLENGE = 'Bearer realm="api"'

#: Headers of an answer that no cache may keep by itself.
VERDICT = {
    "WWW-Authenticate": CHALLENGE,
    "Cache-Control": "no-store",
    "Expires": "Thu, 01 Jan 1970 00:00:00 GMT",
    "Set-Cookie": "a=b",
    "Vary": "Cookie",
    "X-Accel-Expires": "0",
}

#: Other spellings of the headers. To WSGI and CGI, all of them are the same.
SPELLINGS = (
    "X-Auth-User",
    "x-auth-user",
    "X-AUTH-USER",
    "X_Auth_User",
    "X-Auth_User",
    "X_Auth-User",
    "x_auth_roles",
    "X-Auth-Session",
    "X-Auth-Roles",
    "X-Auth-Claims",
)


@pytest.fixture(scope="module")
def auth(site: Site) -> Iterator[Server]:
    """The example project behind one proxy, which terminates TLS."""
    behind = replace(
        site.using(NUM_PROXIES="1", GUNICORN_CMD_ARGS="--limit-request-field_size 16380"),
        has_tls=False,
    )
    with behind.serve() as server:
        yield server


@pytest.fixture(scope="module")
def _service() -> Iterator[Service]:
    with recorder.serve() as service:
        yield service


@pytest.fixture
def service(_service: Service) -> Service:
    """The second service, which has received nothing yet."""
    _service.received.clear()
    return _service


@pytest.fixture(scope="module", params=STARTS)
def gateway(
    request: pytest.FixtureRequest,
    auth: Server,
    _service: Service,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateway]:
    """Each gateway in turn."""
    start, folder = STARTS[request.param], tmp_path_factory.mktemp(request.param)
    with start(folder, auth=port_of(auth), service=_service.port) as gateway:
        yield gateway


@pytest.fixture
def token(auth: Server) -> str:
    """An access token of Alice's."""
    with auth.session() as client:
        return log_in(client)


def port_of(server: Server) -> int:
    """Give the port that the server listens at."""
    return int(server.address.rpartition(":")[2])


def claims_of(token: str) -> dict[str, Any]:
    """Read the token without verifying it."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def sign(site: Site, token: str, **changes: Any) -> str:
    """Sign the token's claims with some changes, as the site does."""
    header = jwt.get_unverified_header(token)
    keys = json.loads((site.keys / "ring.json").read_text())["keys"]
    key = next(key["jwk"] for key in keys if key["jwk"]["kid"] == header["kid"])
    return jwt.encode(claims_of(token) | changes, jwt.PyJWK(key), "ES256", headers=header)


def log_out(auth: Server, token: str) -> None:
    """End the token's session."""
    with auth.session() as client:
        assert client.post("/api/auth/logout/", headers=bearer(token)).status_code == 204


def presenting(token: str) -> tuple[str, str]:
    """Give the header of a request that presents an access token."""
    return ("Authorization", f"Bearer {token}")


def test_good_token_reaches_the_service_with_its_users_headers(
    gateway: Gateway, service: Service, token: str
) -> None:
    """The service learns the user, the session, the roles and all claims."""
    answer = gateway.send(presenting(token))
    assert answer.status == 200
    (received,) = service.received
    claims = claims_of(token)
    assert received.line == "GET /orders/5?page=2 HTTP/1.1"
    assert received.values("X-Auth-User") == [claims["sub"]]
    assert received.values("X-Auth-Session") == [claims["sid"]]
    assert "".join(received.values("X-Auth-Roles")) == ""
    assert received.values("X-Auth-Claims") == [token.split(".")[1]]


def test_body_reaches_the_service_unchanged(gateway: Gateway, service: Service, token: str) -> None:
    """The question to the auth service neither takes nor needs it."""
    body = bytes(range(256)) * 400
    length = ("Content-Length", str(len(body)))
    answer = gateway.send(presenting(token), length, method="POST", body=body)
    assert answer.status == 200
    (received,) = service.received
    assert received.line.startswith("POST /orders/5?page=2 ")
    assert received.body == body


def test_missing_token_gets_the_challenge(gateway: Gateway, service: Service) -> None:
    """Without an error code (RFC 6750 §3)."""
    answer = gateway.send()
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, CHALLENGE)
    assert service.received == []


@pytest.mark.parametrize("fault", ["expired", "tampered", "revoked", "malformed"])
def test_refused_token_gets_the_reason_to_refresh(
    fault: str, gateway: Gateway, service: Service, auth: Server, site: Site, token: str
) -> None:
    """Its challenge is what our browser client goes by. A revocation counts at once."""
    assert gateway.send(presenting(token)).status == 200
    service.received.clear()
    if fault == "expired":
        token = sign(site, token, exp=claims_of(token)["iat"])
    if fault == "tampered":
        signature = token.rpartition(".")[2]
        token = f"{sign(site, token, sub='2').rpartition('.')[0]}.{signature}"
    if fault == "revoked":
        log_out(auth, token)
    answer = gateway.send(presenting("a.b" if fault == "malformed" else token))
    assert answer.status == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert service.received == []


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_spoofed_header_does_not_reach_the_service(
    spelling: str, gateway: Gateway, service: Service, token: str
) -> None:
    """Neither in place of the gateway's header nor beside it, once or twice, before or after."""
    spoofed = (spelling, "spoofed")
    assert gateway.send(spoofed, presenting(token), spoofed).status == 200
    (received,) = service.received
    claimed = received.claimed()
    assert claimed.pop("X_AUTH_ROLES", [""]) == [""]
    assert claimed == {
        "X_AUTH_USER": [claims_of(token)["sub"]],
        "X_AUTH_SESSION": [claims_of(token)["sid"]],
        "X_AUTH_CLAIMS": [token.split(".")[1]],
    }
    assert gateway.send(spoofed).status == 401
    assert service.received == [received]


def test_spoofed_trailer_is_no_header(gateway: Gateway, service: Service, token: str) -> None:
    """A header may also follow the body (RFC 9110 §6.5)."""
    answer = gateway.send(
        presenting(token),
        ("Transfer-Encoding", "chunked"),
        ("Trailer", "X-Auth-Roles"),
        method="POST",
        body=b"5\r\nhello\r\n0\r\nX-Auth-Roles: admin\r\n\r\n",
    )
    assert answer.status == 200
    (received,) = service.received
    assert received.body == b"hello"
    assert received.claimed().get("X_AUTH_ROLES", [""]) == [""]
    assert b"admin" not in received.trailers


def test_client_cannot_remove_the_users_headers(
    gateway: Gateway, service: Service, token: str
) -> None:
    """By naming them in `Connection`, as headers for one hop only (RFC 9110 §7.6.1)."""
    named = [("Connection", "close, x-auth-user"), ("Connection", "X-Auth-Roles,X-Auth-Claims")]
    assert gateway.send(presenting(token), *named).status == 200
    (received,) = service.received
    assert received.values("X-Auth-User") == [claims_of(token)["sub"]]
    assert received.values("X-Auth-Claims") == [token.split(".")[1]]


@pytest.mark.parametrize("kind", STARTS)
def test_client_cannot_name_the_mount_of_the_auth_service(
    kind: str, service: Service, tmp_path: Path
) -> None:
    """By `SCRIPT_NAME`, which gunicorn takes off the path: no gateway lets that path through."""
    with (
        recorder.serve() as auth,
        STARTS[kind](tmp_path, auth=auth.port, service=service.port) as gateway,
    ):
        gateway.send(("SCRIPT_NAME", "/api/auth"), path="/api/auth/admin/")
    (received,) = auth.received
    assert "SCRIPT_NAME" not in {name.upper() for name, _ in received.headers}


def test_longest_token_gets_through(
    gateway: Gateway, service: Service, site: Site, token: str
) -> None:
    """With hundreds of roles: 8 KiB from the client, and more from the auth service."""
    roles = [f"中文-{number}" for number in range(236)]
    token = sign(site, token, roles=roles)
    token = sign(site, token, roles=[*roles, "x" * ((8192 - len(token)) * 3 // 4 - 6)])
    assert 8180 < len(token) <= 8192
    assert gateway.send(presenting(token)).status == 200
    (received,) = service.received
    assert len(received.values("X-Auth-Roles")[0].split(",")) == len(roles) + 1
    assert received.values("X-Auth-Claims") == [token.split(".")[1]]


def test_access_cookie_lets_nobody_in(gateway: Gateway, service: Service, token: str) -> None:
    """The gateway doesn't even send it to the auth service."""
    answer = gateway.send(("Cookie", f"__Host-access_token={token}"), method="POST")
    assert answer.status == 401
    assert service.received == []


@pytest.mark.parametrize("kind", STARTS)
def test_header_that_the_auth_service_leaves_out_is_not_the_clients(
    kind: str, service: Service, tmp_path: Path
) -> None:
    """A wrong address, of a page that answers everybody, lets no client choose its user."""
    with (
        recorder.serve() as auth,
        STARTS[kind](tmp_path, auth=auth.port, service=service.port) as gateway,
    ):
        gateway.send(presenting("x.y.z"), *((spelling, "spoofed") for spelling in SPELLINGS))
    (received,) = service.received
    assert "spoofed" not in str(received.headers)


@pytest.mark.parametrize("kind", STARTS)
def test_auth_service_gets_the_token_and_neither_cookies_nor_the_body(
    kind: str, service: Service, tmp_path: Path
) -> None:
    """A cookie must not count there, and a body would be read twice or be waited for."""
    body = b"x" * 100_000
    headers = [("Cookie", "a=b"), ("X-Auth-User", "spoofed"), ("Content-Length", "100000")]
    with (
        recorder.serve(200, {"X-Auth-User": "1"}) as auth,
        STARTS[kind](tmp_path, auth=auth.port, service=service.port) as gateway,
    ):
        answer = gateway.send(presenting("x.y.z"), *headers, method="POST", body=body)
        assert answer.status == 200
        (asked,) = auth.received
    assert asked.values("Authorization") == ["Bearer x.y.z"]
    assert (asked.values("Cookie"), asked.claimed(), asked.body) == ([], {}, b"")
    assert asked.values("Content-Length") in ([], ["0"])
    assert service.received[0].body == body


def test_session_has_the_address_of_the_client(gateway: Gateway, auth: Server) -> None:
    """Not the gateway's, and not the one that the client gives for its own."""
    body = json.dumps({"username": "alice", "password": PASSWORD}).encode()
    answer = gateway.send(
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("X-Forwarded-For", "192.0.2.66"),
        method="POST",
        path="/api/auth/login/",
        body=body,
    )
    assert answer.status == 200
    assert gateway.send(presenting("x.y.z"), ("X-Forwarded-For", "192.0.2.66")).status == 401
    events = [line for line in auth.read_log().splitlines() if "ip_address" in line][-2:]
    assert [f"ip_address='{CLIENT}'" in event for event in events] == [True, True], events


@pytest.mark.parametrize("status", [302, 404, 429, 500, 503])
@pytest.mark.parametrize("kind", STARTS)
def test_auth_service_that_is_out_of_order_lets_nobody_in(
    kind: str, status: int, service: Service, tmp_path: Path
) -> None:
    """And logs nobody out, as a 401 would."""
    with (
        recorder.serve(status, {"X-Auth-User": "1", "Location": "/"}) as auth,
        STARTS[kind](tmp_path, auth=auth.port, service=service.port) as gateway,
    ):
        answer = gateway.send(presenting("x.y.z"))
        assert auth.received
    assert answer.status not in {200, 401}
    assert status < 500 or answer.status == 503 or (kind, answer.status) == ("caddy", status)
    assert service.received == []


@pytest.mark.parametrize("kind", STARTS)
def test_auth_service_that_is_down_lets_nobody_in(
    kind: str, service: Service, tmp_path: Path
) -> None:
    """The client gets a 5xx, and may try again."""
    with STARTS[kind](tmp_path, auth=free_port(), service=service.port) as gateway:
        answer = gateway.send(presenting("x.y.z"))
    assert answer.status in {502, 503}
    assert service.received == []


@pytest.mark.parametrize("kind", STARTS)
def test_auth_service_that_hangs_lets_nobody_in(
    kind: str, service: Service, tmp_path: Path
) -> None:
    """The gateway gives up after its time-out, which is shortened here."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen()  # and never accepts
        port = listener.getsockname()[1]
        with STARTS[kind](tmp_path, auth=port, service=service.port, wait="1s") as gateway:
            answer = gateway.send(presenting("x.y.z"))
    assert answer.status in {502, 503, 504}
    assert service.received == []


# nginx with its cache


def test_cache_tells_users_apart(auth: Server, service: Service, tmp_path: Path) -> None:
    """Each gets the answer of the own token, and a token without signature none of either."""
    with auth.session() as client:
        tokens = [log_in(client, name) for name in ("alice", "bob")] * 2
    with gateways.nginx(
        tmp_path, auth=port_of(auth), service=service.port, cached_for="600s"
    ) as gateway:
        for token in tokens:
            assert gateway.send(presenting(token)).status == 200
            head, payload, _ = token.split(".")
            assert gateway.send(presenting(f"{head}.{payload}.AA")).status == 401
            assert gateway.send().status == 401
    told = [received.values("X-Auth-Claims") for received in service.received]
    assert told == [[token.split(".")[1]] for token in tokens]


@pytest.mark.parametrize(("status", "asked"), [(204, 1), (401, 1), (503, 3), (404, 3)])
def test_cache_keeps_verdicts_and_no_errors(
    status: int, asked: int, service: Service, tmp_path: Path
) -> None:
    """An outage is over as soon as it is over; a cached 401 has its challenge."""
    with (
        recorder.serve(status, VERDICT) as auth,
        gateways.nginx(
            tmp_path, auth=auth.port, service=service.port, cached_for="600s"
        ) as gateway,
    ):
        answers = [gateway.send(presenting("x.y.z"), ("Cookie", f"n={n}")) for n in range(3)]
        assert len(auth.received) == asked
        gateway.send(presenting("x.y.z"), ("Host", "other.example.com"))
        assert len(auth.received) == asked + 1
    if status == 401:
        assert [answer.headers["WWW-Authenticate"] for answer in answers] == [CHALLENGE] * 3


def test_cache_ends_a_revoked_token_when_its_time_is_over(
    auth: Server, service: Service, token: str, tmp_path: Path
) -> None:
    """That is the price: until then the token is let in."""
    with gateways.nginx(
        tmp_path, auth=port_of(auth), service=service.port, cached_for="1s"
    ) as gateway:
        assert gateway.send(presenting(token)).status == 200
        log_out(auth, token)
        wait_until(lambda: gateway.send(presenting(token)).status == 401, "the token is refused")


def test_cache_is_private_and_no_log_has_a_token(
    auth: Server, service: Service, token: str, tmp_path: Path
) -> None:
    """The key is the token: it is in the cache's files, which belong to nginx alone."""
    with gateways.nginx(
        tmp_path, auth=port_of(auth), service=service.port, cached_for="600s"
    ) as gateway:
        gateway.send(presenting(token))
    logs = [path for path in tmp_path.glob("*.log") if token in path.read_text()]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    holders = [path for path in files if token.encode() in path.read_bytes()]
    assert logs == []
    assert [path.relative_to(tmp_path).parts[0] for path in holders] == ["cache"]
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700


# Envoy by itself, with the key set


@pytest.fixture(scope="module")
def alone(
    auth: Server, _service: Service, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """Envoy, which verifies tokens with the key set."""
    folder, page = tmp_path_factory.mktemp("alone"), "envoy-jwt-authn.yaml"
    with gateways.envoy(folder, auth=port_of(auth), service=_service.port, page=page) as gateway:
        yield gateway


def test_envoy_alone_tells_the_claims(alone: Gateway, service: Service, token: str) -> None:
    """In the same form as `verify/`, and in place of what the client sent."""
    spoofed = [(name, "spoofed") for name in SPELLINGS]
    assert alone.send(*spoofed, presenting(token), *spoofed).status == 200
    (received,) = service.received
    assert received.claimed() == {"X_AUTH_CLAIMS": [token.split(".")[1]]}


@pytest.mark.parametrize("changed", [{"exp": 1}, {"iss": "https://a.test"}, {"aud": "b"}], ids=str)
def test_envoy_alone_refuses(
    changed: dict[str, Any], alone: Gateway, service: Service, site: Site, token: str
) -> None:
    """Expired, and of another issuer or for another audience."""
    assert alone.send(presenting(sign(site, token, **changed))).status in {401, 403}
    assert alone.send(presenting(token[:-4] + "AAAA")).status == 401
    assert alone.send().status == 401
    assert service.received == []


def test_envoy_alone_knows_nothing_of_revocation(
    alone: Gateway, service: Service, auth: Server, token: str
) -> None:
    """As the page says: a token is let in until it expires."""
    log_out(auth, token)
    assert alone.send(presenting(token)).status == 200
