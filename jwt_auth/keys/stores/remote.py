"""The common part of the stores behind a network: one deadline, and errors that say what to do.

A subclass connects, finds the ring, swaps it and explains its client's errors. The calls are made
by :mod:`jwt_auth.keys.remote_client`. A read is made again while its error passes by itself. A
write is sent once: an unanswered write may have happened, so the error says so.

No store has a stamp, because asking the service for one would cost as much as a load.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, TypeVar
from urllib.parse import urlsplit

from django.core.checks import CheckMessage

from jwt_auth.check_messages import option_error, warning
from jwt_auth.exceptions import (
    KeyRingConflict,
    KeyRingExists,
    KeyRingMissing,
    KeyStoreError,
    KeyStoreUnavailable,
)
from jwt_auth.keys.remote_client import SEE_TABLE, STORE_THREAD, Fault, RemoteClient
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores.base import KeyStore, read_document

#: The longest time-out, in seconds: the management commands wait for it.
_LONGEST: Final = 60

_LOCAL: Final = ("localhost", "127.0.0.1", "::1")

#: Seconds before the second and the third attempt to read.
PAUSES: Final = (0.2, 0.6)

#: A swap is several requests.
_SWAP_DEADLINES: Final = 2

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The content of the ring's place; ``text`` is ``None`` if the place is empty."""

    text: str | None = field(repr=False)
    #: The service's name for this content, for the swap.
    version: Any = None
    #: Why the place is empty, if it once held a ring.
    absence: str = ""


class Overtaken(Exception):
    """Another writer has swapped the ring since it was found."""


class Unsure(Exception):
    """A write was accepted, but the request that shows its outcome failed, with the cause."""


class RemoteKeyStore(KeyStore):
    """Keeps the ring in a service that is reached over the network."""

    #: The most bytes that the service takes.
    limit: ClassVar[int]

    def __init__(self, *, timeout: float, deadline: float) -> None:
        self._timeout = timeout
        self._deadline = deadline
        self._remote = RemoteClient(
            self._connect, explain=self._explain, places=1, name=STORE_THREAD
        )

    @abstractmethod
    def _connect(self) -> Any:
        """Make a client, with ``self._timeout`` on connecting and on every answer.

        The requests that fetch its credential have the same time-outs.
        """

    @abstractmethod
    def _explain(self, error: Exception) -> Fault:
        """Explain an error of the client, or of :meth:`_connect`."""

    @abstractmethod
    def _find(self, client: Any) -> Stored:
        """Read the content of the ring's place."""

    @abstractmethod
    def _swap(self, client: Any, stored: Stored, text: str) -> None:
        """Put ``text`` in the place of what was found, in one step.

        Raises:
            Overtaken: the place has another content now.
            Unsure: the write was accepted, and its outcome is unknown.
        """

    def check(self) -> list[CheckMessage]:
        return list(self._check_options())

    def _check_options(self) -> Iterator[CheckMessage]:
        numbers = (self._timeout, self._deadline)
        if not all(type(n) in (int, float) and 0 < n <= _LONGEST for n in numbers):
            yield option_error(
                "E045", f"TIMEOUT and DEADLINE must be seconds, {_LONGEST} at most", '"TIMEOUT": 3'
            )
        elif self._timeout > self._deadline:
            yield option_error("E037", "TIMEOUT is longer than DEADLINE", '"DEADLINE": 10')

    def load(self) -> KeyRing:
        return self._parse(self._read(self._find))

    def save(self, ring: KeyRing, *, expected_version: int | None) -> None:
        text = ring.to_json()
        overtaken = KeyRingExists if expected_version is None else KeyRingConflict
        if len(text.encode()) > self.limit:
            raise KeyStoreError(
                f"{self.describe()} takes {self.limit} bytes at most, and the key ring is larger."
                " Run `manage.py rotate_keys --retire`, or make keys of another algorithm."
            )

        stored = self._read(self._find)
        found = None if stored.text is None else self._parse(stored).version
        if found != expected_version:
            raise overtaken
        try:
            self._call(
                lambda: self._swap(self._remote.get_client(), stored, text),
                seconds=_SWAP_DEADLINES * self._deadline,
                done="written",
            )
        except Overtaken:
            raise overtaken from None

    def _read(self, request: Callable[[Any], T]) -> T:
        """Make a request that changes nothing, within the deadline."""
        return self._call(
            lambda: self._remote.attempt(request, pauses=PAUSES),
            seconds=self._deadline,
            done="read",
        )

    def _parse(self, stored: Stored) -> KeyRing:
        if stored.text is None:
            raise KeyRingMissing(
                f"There is no key ring at {self.describe()}:"
                f" {stored.absence}run `manage.py generate_keys`."
            )
        return read_document(stored.text, self.describe())

    def _call(self, function: Callable[[], T], *, seconds: float, done: str) -> T:
        try:
            return self._remote.call(function, seconds=seconds)
        except Overtaken:
            raise
        except Exception as error:  # noqa: BLE001  a client may raise anything, and quote a secret
            fault = self._judge(error, seconds)
        text = f"{self.describe()} can't be {done}: {fault.reason}. {SEE_TABLE}"
        if done == "written" and not fault.refused:
            text += (
                " The key ring may have been saved all the same: `manage.py list_keys` shows it."
            )
        raise (KeyStoreUnavailable if fault.passes else KeyStoreError)(text)

    def _judge(self, error: Exception, seconds: float) -> Fault:
        match error:
            case Unsure(__cause__=Exception() as cause):
                return replace(self._judge(cause, seconds), refused=False)
        return self._remote.explain(error, seconds=seconds)


def check_address(option: str, address: str) -> Iterator[CheckMessage]:
    """Check a service's address. The private keys travel to it and back."""
    line = f'"{option}": "https://…"'
    try:
        parts = urlsplit(address)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("https", "http") or not parts.hostname:
        yield option_error("E046", f"{option} is not the address of a server", line)
    elif parts.username or parts.password or parts.query:
        # Every message names the address.
        yield option_error("E038", f"{option} holds more than an address", line)
    elif parts.scheme == "http" and parts.hostname not in _LOCAL:
        yield warning(
            "W045",
            f"JWT_AUTH_KEY_STORE: {option} is plain HTTP: the private keys and the credential can"
            " be read on the network.",
            f"Write {line} in the OPTIONS of JWT_AUTH_KEY_STORE",
        )
