"""One HTTP request to another service, over TLS, with a limit on its time and its size.

``urllib`` by itself opens files and FTP, follows a redirect to plain HTTP, and sends a credential
along. It has no limit on the whole time: its time-out begins again at each byte. All of this is
different here. Its proxies from the environment (for https) and the system's certificates
(``SSL_CERT_FILE``) are kept.

Only the lookup of the host's name has no limit. A caller that must go on at the deadline uses
:mod:`jwt_auth.keys.bounded_call`.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from io import BufferedReader, RawIOBase
from ipaddress import ip_address
from socket import gaierror, socket
from time import monotonic
from types import MappingProxyType
from typing import Any, Final, cast
from urllib.error import URLError
from urllib.parse import SplitResult, urljoin, urlsplit
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request

#: Redirects that are followed. A service that has moved needs one, and perhaps one for its path.
_MOST_REDIRECTS: Final = 3
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

#: ``urlsplit`` drops some of these in silence.
_UNPRINTABLE: Final = re.compile(r"[^\x21-\x7e]")

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class FetchError(Exception):
    """There is no usable answer. The text is one sentence, with the address and the reason.

    It quotes no credential, and nothing that the service has sent.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """An answer, whatever its status; ``headers`` are found by their names in any case."""

    status: int
    headers: Message
    body: bytes = field(repr=False)


class _Refused(Exception):
    """The answer is not usable, for a reason that ends a sentence."""


def find_fault(url: object) -> str:
    """Say why an address can't be fetched, as the end of a sentence, or return an empty text."""
    parts = _split(url)
    if parts is None or parts.scheme not in ("https", "http") or not parts.hostname:
        return "must be the address of a server, such as https://auth.example.com/path"
    if "@" in parts.netloc or "#" in str(url):
        return "must have no user name, no password and no fragment"
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        return "must begin with https://, because it is not on this machine"
    return ""


def without_secrets(url: object) -> str:
    """The address for messages. User name, password and query are left out."""
    parts = _split(url)
    if parts is None:
        return "a malformed address"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def fetch(
    url: str,
    *,
    headers: Mapping[str, str] = _NO_HEADERS,
    timeout: float,
    limit: int,
    data: bytes | None = None,
) -> Fetched:
    """Send a GET, or with ``data`` a POST, and read the whole answer within ``timeout`` seconds.

    Redirects are followed within https, or within http on this machine. A request with data or
    with a credential is never sent on to another address.

    Raises:
        FetchError: the address isn't allowed, the service can't be reached, or its answer is too
            late, incomplete, compressed or longer than ``limit`` bytes.
    """
    try:
        return _follow(url, dict(headers), monotonic() + timeout, limit, data)
    except (OSError, HTTPException, ValueError, _Refused) as error:
        reason = _explain(error, timeout)
    # Error reports show the variables of the frames, and a credential may be among them.
    del headers, data
    raise FetchError(f"{without_secrets(url)} can't be fetched: {reason}.")


def _follow(
    url: str, headers: dict[str, str], end: float, limit: int, data: bytes | None
) -> Fetched:
    if fault := find_fault(url):
        raise _Refused(f"it {fault}")
    may_follow = data is None and "authorization" not in map(str.lower, headers)
    # Some firewalls refuse the name that urllib gives itself.
    headers = {"User-Agent": "jwt_auth", **headers}
    for _ in range(_MOST_REDIRECTS + 1):
        request = Request(url, data=data, headers=headers)  # noqa: S310  find_fault() has judged it
        with _open(request, end) as response:
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or location is None:
                return _read(response, limit)
        target = urljoin(url, location)
        if not may_follow or find_fault(target) or urlsplit(target).scheme != urlsplit(url).scheme:
            raise _Refused("it redirects to an address that is not followed")
        url = target
    raise _Refused("it redirects again and again")


def _open(request: Request, end: float) -> HTTPResponse:
    # Not build_opener(), which adds the handlers of files, FTP and data: addresses.
    opener = OpenerDirector()
    if request.type == "https":
        # Plain HTTP is for this machine. A proxy could read it, and would ask its own machine.
        opener.add_handler(ProxyHandler())
    opener.add_handler(_Handler(end))
    return cast(HTTPResponse, opener.open(request, timeout=_left(end)))


def _read(response: HTTPResponse, limit: int) -> Fetched:
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise _Refused("the answer is compressed, which was not asked for")
    # A request to read more than there is would not fail, so the rest is looked at.
    body = response.read(limit + 1)
    if len(body) > limit:
        raise _Refused(f"the answer is longer than {limit} bytes")
    if response.length:
        raise _Refused("the answer ended too early")
    return Fetched(status=response.status, headers=response.headers, body=body)


class _Handler(HTTPHandler, HTTPSHandler):
    """Connects with the system's certificates, and reads each answer until ``end`` at most."""

    def __init__(self, end: float) -> None:
        super().__init__()
        self._end = end

    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(self._plain, req)  # type: ignore[arg-type]  # only called, as a class is

    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(self._over_tls, req)  # type: ignore[arg-type]  # the same

    def _plain(self, host: str, *, timeout: float) -> HTTPConnection:
        return self._timed(HTTPConnection(host, timeout=timeout))

    def _over_tls(self, host: str, *, timeout: float) -> HTTPConnection:
        context = ssl.create_default_context()
        return self._timed(HTTPSConnection(host, timeout=timeout, context=context))

    def _timed(self, connection: HTTPConnection) -> HTTPConnection:
        def respond(sock: socket, *args: Any, **kwargs: Any) -> HTTPResponse:
            reads: Any = _TimedReads(sock, self._end)  # all of a socket that HTTPResponse uses
            return HTTPResponse(reads, *args, **kwargs)

        connection.response_class = respond  # type: ignore[assignment]  # only called, as above
        return connection


class _TimedReads(RawIOBase):
    """Reads from a socket until a moment of the monotonic clock, however slowly bytes arrive."""

    def __init__(self, sock: socket, end: float) -> None:
        self._sock, self._end = sock, end
        self._stream = sock.makefile("rb", buffering=0)

    def makefile(self, mode: str) -> BufferedReader:
        """Stand in for the socket, of which ``HTTPResponse`` uses this method only."""
        return BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(_left(self._end))
        return self._stream.readinto(buffer)

    def close(self) -> None:
        self._stream.close()
        super().close()


def _left(end: float) -> float:
    left = end - monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _explain(error: Exception, timeout: float) -> str:
    """Say what has happened. The texts of these errors may quote a header or the answer."""
    if isinstance(error, URLError) and isinstance(error.reason, Exception):
        error = error.reason
    match error:
        case _Refused():
            return str(error)
        case TimeoutError():
            return f"there is no complete answer within {timeout:g} seconds"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({error.verify_message.rstrip('.')})"
        case gaierror():
            return "the name of its host can't be resolved"
        case OSError(errno=int(number)) if not isinstance(error, ssl.SSLError):
            return os.strerror(number)
    return f"the connection failed ({type(error).__name__})"


def _split(url: object) -> SplitResult | None:
    if not isinstance(url, str) or _UNPRINTABLE.search(url):
        return None
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  raises for one that is not a number
    except ValueError:
        return None
    return parts


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
