"""Requests to other services: what is sent, which answers are taken, and how long they may take."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from jwt_auth.fetching import Fetched, FetchError, fetch, find_fault
from tests.keys.remote.service import Answer, Service
from tests.live.certificate import make_certificate

GOOD = Answer(body=b"{}", headers={"ETag": '"one"'})
SECRET = "s3cret"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def service() -> Iterator[Service]:
    with Service(lambda request: GOOD).running() as service:
        yield service


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def tls_service(certificate: tuple[Path, Path]) -> Iterator[Service]:
    """A service with a certificate that no authority has signed."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)
    with Service(lambda request: GOOD, tls).running() as service:
        yield service


@pytest.fixture
def _trusted(certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))


def url_of(service: Service, path: str = "/keys", *, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{service.port}{path}"


def ask(url: str, *, timeout: float = 30, limit: int = 100, **options: object) -> Fetched:
    return fetch(url, timeout=timeout, limit=limit, **options)  # type: ignore[arg-type]


def reason_for(url: str, **options: object) -> str:
    """Why the address can't be fetched."""
    with pytest.raises(FetchError) as refused:
        ask(url, **options)  # type: ignore[arg-type]
    assert SECRET not in str(refused.value)
    assert str(refused.value).endswith(".")
    return str(refused.value)


@contextmanager
def raw_server(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve one connection by hand; give the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):  # the client goes away
                connection, _ = listening.accept()
                with connection:
                    talk(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(30)


# ---- The request and its answer


@pytest.mark.parametrize("status", [200, 404, 500])
def test_answer_is_given_whatever_its_status(service: Service, status: int) -> None:
    """What a status means is known only to the caller."""
    service.always = Answer(status=status, body=b"{}", headers={"ETag": '"one"'})
    answer = ask(url_of(service))
    assert (answer.status, answer.body, answer.headers["etag"]) == (status, b"{}", '"one"')


def test_not_modified_has_no_body(service: Service) -> None:
    """RFC 9110 §15.4.5. The request has the caller's headers."""
    service.always = Answer(status=304)
    answer = ask(url_of(service), headers={"If-None-Match": '"one"'})
    assert (answer.status, answer.body) == (304, b"")
    assert service.requests[0].headers["If-None-Match"] == '"one"'


def test_request_asks_for_no_compression_under_our_name(service: Service) -> None:
    """Some firewalls refuse urllib's name."""
    ask(url_of(service))
    (request,) = service.requests
    assert (request.method, request.path) == ("GET", "/keys")
    assert (request.headers["Accept-Encoding"], request.headers["User-Agent"]) == (
        "identity",
        "jwt_auth",
    )


def test_data_is_posted(service: Service) -> None:
    ask(url_of(service), data=b"token=1", headers={"Authorization": "Basic x"})
    (request,) = service.requests
    assert (request.method, request.body) == ("POST", b"token=1")
    assert request.headers["Authorization"] == "Basic x"


def test_answer_is_hidden_from_its_own_repr(service: Service) -> None:
    """It may hold a credential."""
    service.always = Answer(body=SECRET.encode(), headers={"X-Key": SECRET})
    assert SECRET not in repr(ask(url_of(service)))


# ---- Answers that are not taken


def test_answer_of_the_limit_is_taken_and_a_longer_one_is_not(service: Service) -> None:
    service.always = Answer(body=b"x" * 100)
    assert len(ask(url_of(service)).body) == 100
    service.always = Answer(body=b"x" * 101)
    assert "longer than 100 bytes" in reason_for(url_of(service))


def test_endless_answer_is_not_read_to_its_end() -> None:
    """It states no length, and would fill the memory."""

    def talk(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(10_000):
            connection.sendall(b"x" * 10_000)

    with raw_server(talk) as port:
        assert "longer than 100 bytes" in reason_for(f"http://127.0.0.1:{port}/")


def test_answer_that_ends_too_early_is_not_taken(service: Service) -> None:
    """Its beginning could read as another, whole answer."""
    service.always = Answer(body=b"{}  ", cut=2)
    assert "ended too early" in reason_for(url_of(service))


def test_compressed_answer_is_not_taken(service: Service) -> None:
    """A few bytes could unfold to more than the limit."""
    service.always = Answer(body=b"{}", headers={"Content-Encoding": "gzip"})
    assert "compressed" in reason_for(url_of(service))


@pytest.mark.parametrize("begins", [b"HTTP/1.1 200 OK\r\nA: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_answer_that_drips_is_given_up_at_the_deadline(begins: bytes) -> None:
    """Each byte comes in time, in the headers and in the body. Left alone, it ends well at last."""

    def talk(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(begins)
        for _ in range(80):
            connection.sendall(b"x")
            time.sleep(0.05)
        connection.sendall(b"\r\n\r\n")

    with raw_server(talk) as port:
        reason = reason_for(f"http://127.0.0.1:{port}/", timeout=0.3)
    assert "no complete answer within 0.3 seconds" in reason


def test_service_that_does_not_answer_is_given_up(service: Service) -> None:
    with service.holding():
        assert "no complete answer" in reason_for(url_of(service), timeout=0.2)


def test_no_time_is_no_request(service: Service) -> None:
    assert "no complete answer within 0 seconds" in reason_for(url_of(service), timeout=0)
    assert service.requests == []


# ---- Redirects


def redirect(location: str, status: int = 302) -> Answer:
    return Answer(status=status, headers={"Location": location})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_followed(service: Service, status: int) -> None:
    service.next.append(redirect("/moved", status))
    assert ask(url_of(service)).body == b"{}"
    assert [request.path for request in service.requests] == ["/keys", "/moved"]


@pytest.mark.parametrize("answer", [Answer(status=302), redirect("/made", 201)])
def test_answer_that_is_not_a_whole_redirect_is_given(service: Service, answer: Answer) -> None:
    service.always = answer
    assert ask(url_of(service)).status == answer.status
    assert len(service.requests) == 1


def test_redirects_end(service: Service) -> None:
    service.always = redirect("/keys")
    assert "redirects again and again" in reason_for(url_of(service))
    assert len(service.requests) == 4


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/keys",
        "data:,{}",
        "http://auth.example.com/keys",
        f"http://user:{SECRET}@127.0.0.1/keys",
        "https://",
    ],
)
def test_redirect_to_elsewhere_is_not_followed(service: Service, location: str) -> None:
    """A file of this machine must not become the key set of a service."""
    service.always = redirect(location)
    assert "redirects to an address that is not followed" in reason_for(url_of(service))
    assert len(service.requests) == 1


def test_redirect_to_a_malformed_address_is_not_followed(service: Service) -> None:
    service.always = redirect("http://[/")
    assert "(ValueError)" in reason_for(url_of(service))


@pytest.mark.usefixtures("_trusted")
@pytest.mark.parametrize("scheme", ["https", "http"])
def test_redirect_stays_with_its_scheme(
    service: Service, tls_service: Service, scheme: str
) -> None:
    """Also on this machine, where http is allowed otherwise."""
    ours, other, opposite = service, tls_service, "https"
    if scheme == "https":
        ours, other, opposite = tls_service, service, "http"
    ours.next += [redirect("/moved"), GOOD, redirect(url_of(other, scheme=opposite))]
    assert ask(url_of(ours, scheme=scheme)).status == 200
    assert "not followed" in reason_for(url_of(ours, scheme=scheme))
    assert other.requests == []


@pytest.mark.parametrize(
    "options", [{"data": b"token=1"}, {"headers": {"AUTHORIZATION": f"Basic {SECRET}"}}]
)
def test_secret_is_not_sent_on(service: Service, options: dict[str, object]) -> None:
    """Not even to the same host, where another program may answer."""
    service.always = redirect("/moved")
    assert "not followed" in reason_for(url_of(service), **options)
    assert len(service.requests) == 1


# ---- Connections that fail


def test_refused_connection_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    reason = reason_for(f"http://127.0.0.1:{port}/keys?code={SECRET}")
    assert reason == f"http://127.0.0.1:{port}/keys can't be fetched: Connection refused."


def test_connection_that_ends_without_a_word_is_named(service: Service) -> None:
    with service.being_away():
        assert "(RemoteDisconnected)" in reason_for(url_of(service))


def test_answer_that_is_not_http_is_named_and_not_quoted() -> None:
    with raw_server(lambda connection: connection.sendall(SECRET.encode() + b"\r\n\r\n")) as port:
        assert "(BadStatusLine)" in reason_for(f"http://127.0.0.1:{port}/")


def test_unknown_host_is_named() -> None:
    assert "can't be resolved" in reason_for("https://auth.invalid/keys")


def test_certificate_must_be_trusted(tls_service: Service) -> None:
    reason = reason_for(url_of(tls_service, scheme="https"))
    assert "its certificate is not trusted (self-signed certificate)" in reason
    assert tls_service.requests == []


@pytest.mark.usefixtures("_trusted")
def test_certificate_of_ssl_cert_file_is_trusted_for_its_host(tls_service: Service) -> None:
    assert ask(url_of(tls_service, scheme="https")).status == 200
    reason = reason_for(f"https://localhost:{tls_service.port}/")
    assert "its certificate is not trusted (Hostname mismatch" in reason


def test_server_without_tls_is_named(service: Service) -> None:
    assert "(SSLError)" in reason_for(url_of(service, scheme="https"))


# ---- Addresses


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("https://auth.example.com/keys", ""),
        ("https://auth.example.com:8443/keys?policy=1", ""),
        ("http://localhost:8000/keys", ""),
        ("http://127.8.8.8/keys", ""),
        ("http://[::1]:8000/keys", ""),
        ("http://auth.example.com/keys", "must begin with https://"),
        ("http://localhost.example.com/keys", "must begin with https://"),
        ("http://10.0.0.1/keys", "must begin with https://"),
        (f"https://user:{SECRET}@auth.example.com/", "must have no user name"),
        ("https://@auth.example.com/", "must have no user name"),
        ("https://auth.example.com/keys#", "must have no user name"),
        ("file:///etc/passwd", "must be the address of a server"),
        ("ftp://auth.example.com/keys", "must be the address of a server"),
        ("/keys", "must be the address of a server"),
        ("https:///keys", "must be the address of a server"),
        ("https://[/keys", "must be the address of a server"),
        ("https://auth.example.com:port/", "must be the address of a server"),
        ("https://auth.exam\nple.com/", "must be the address of a server"),
        (" https://auth.example.com/", "must be the address of a server"),
        ("https://äuth.example.com/", "must be the address of a server"),
        (None, "must be the address of a server"),
        (b"https://auth.example.com/", "must be the address of a server"),
    ],
)
def test_fault_of_an_address_is_named(url: object, fault: str) -> None:
    """Plain http is for this machine only. Credentials would be quoted in messages."""
    found = find_fault(url)
    assert found.startswith(fault)
    assert bool(found) == bool(fault)


@pytest.mark.parametrize(
    "url", [f"https://user:{SECRET}@auth.example.com/?{SECRET}", f"file:///{SECRET}\n"]
)
def test_wrong_address_is_not_fetched(url: str) -> None:
    reason_for(url)


# ---- Proxies


def test_service_on_this_machine_is_asked_without_a_proxy(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the proxy would get the credentials, and ask its own machine."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    service.next.append(redirect("/moved"))
    assert ask(url_of(service)).body == b"{}"
    assert [request.path for request in service.requests] == ["/keys", "/moved"]


@pytest.mark.usefixtures("_trusted")
def test_proxy_is_used_for_https_as_a_tunnel(
    tls_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def talk(client: socket.socket) -> None:
        asked = client.recv(4096)
        assert asked.startswith(f"CONNECT 127.0.0.1:{tls_service.port} ".encode())
        with socket.create_connection(("127.0.0.1", tls_service.port)) as server:
            client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            other = threading.Thread(target=_copy, args=(server, client), daemon=True)
            other.start()
            _copy(client, server)
            other.join(30)

    with raw_server(talk) as port:
        monkeypatch.setenv("https_proxy", f"http://user:{SECRET}@127.0.0.1:{port}")
        assert ask(url_of(tls_service, scheme="https")).body == b"{}"


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(4096):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def test_proxy_that_refuses_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    def talk(client: socket.socket) -> None:
        client.recv(4096)
        client.sendall(f"HTTP/1.1 407 {SECRET}\r\n\r\n".encode())

    with raw_server(talk) as port:
        monkeypatch.setenv("https_proxy", f"http://user:{SECRET}@127.0.0.1:{port}")
        assert "the connection failed (OSError)" in reason_for("https://auth.example.com/keys")
