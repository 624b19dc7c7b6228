"""What the stores behind a network have in common: time-outs, retries, and errors that say what to
do.

A subclass finds the ring, swaps it and explains its client's errors. The rest is here:

- A load takes at most ``DEADLINE`` seconds, whatever the service does
  (:mod:`jwt_auth.keys.bounded_call`).
- What will pass is tried again within them, for reading only: nobody knows what became of a write
  that was not answered, so it is reported.
- A forked process makes a client of its own: on a connection that two processes share, each would
  read the other's answers.
- A refused credential is read anew, once: tokens expire, and files that hold them are rewritten.
- No text of a client is repeated: it may quote a request, a header or a secret.

There is no stamp: to ask the service costs as much as a load.
"""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from time import sleep
from typing import Any, ClassVar, Final, TypeVar
from urllib.parse import urlsplit

from django.core.checks import CheckMessage, Error, Warning  # noqa: A004  the framework's own name

from jwt_auth.exceptions import (
    KeyRingConflict,
    KeyRingExists,
    KeyRingMissing,
    KeyStoreError,
    KeyStoreUnavailable,
)
from jwt_auth.forks import after_fork_in_child
from jwt_auth.keys.bounded_call import BoundedExecutor, StillWaiting
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores.base import KeyStore, read_document

#: The longest time-out, in seconds: the commands wait for it.
_LONGEST: Final = 60

_LOCAL: Final = ("localhost", "127.0.0.1", "::1")

#: Seconds before each further attempt to read, give or take a half.
_PAUSES: Final = (0.2, 0.6)

#: A swap is several requests.
_SWAP_DEADLINES: Final = 2

_UNSURE: Final = "It may have been saved all the same: `manage.py list_keys` shows it."

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What lies in the ring's place; ``text`` is ``None`` where nothing does."""

    text: str | None = field(repr=False)
    #: What the service calls it, for the swap.
    version: Any = None
    #: Why there is nothing, where there was something once.
    absence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What a client's error means."""

    reason: str
    advice: str = ""
    #: Likely over in a moment.
    passes: bool = False
    #: The credential was refused; another one may have come in its place.
    credential: bool = False
    #: Nobody knows whether the service has done what it was asked to.
    unsure: bool = False


_UNKNOWN: Final = Trouble(reason="the client failed", unsure=True)


class Overtaken(Exception):
    """Somebody else has swapped the ring since it was found."""


class Unsure(Exception):
    """A write was taken, and what would have shown its outcome has failed, with the cause."""


class RemoteKeyStore(KeyStore):
    """Keeps the ring in a service that is reached over the network."""

    #: The most bytes that the service takes.
    limit: ClassVar[int]

    #: What the client's errors mean; the first that fits counts.
    troubles: ClassVar[Sequence[tuple[type[Exception] | tuple[type[Exception], ...], Trouble]]]

    def __init__(self, *, timeout: float, deadline: float) -> None:
        self._timeout = timeout
        self._deadline = deadline
        self._executor = BoundedExecutor(1, name="jwt_auth-key-store")
        self._connected: Any | None = None
        after_fork_in_child(self._forget_client)

    @abstractmethod
    def _connect(self) -> Any:
        """Make a client, with ``self._timeout`` on connecting and on every answer."""

    @abstractmethod
    def _find(self, client: Any) -> Stored:
        """Read what lies in the ring's place."""

    @abstractmethod
    def _swap(self, client: Any, stored: Stored, text: str) -> None:
        """Put ``text`` in the place of what was found, in one step.

        Raises:
            Overtaken: it is not there any more.
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
        return self._parse(self._request(self._find))

    def save(self, ring: KeyRing, *, expected_version: int | None) -> None:
        text = ring.to_json()
        overtaken = KeyRingExists if expected_version is None else KeyRingConflict
        if len(text.encode()) > self.limit:
            raise KeyStoreError(
                f"{self.describe()} takes {self.limit} bytes at most, and the key ring is larger:"
                " run `manage.py rotate_keys --retire`, or make keys of another algorithm."
            )

        stored = self._request(self._find)
        found = None if stored.text is None else self._parse(stored).version
        if found != expected_version:
            raise overtaken
        try:
            self._call(
                lambda: self._swap(self._client(), stored, text),
                seconds=_SWAP_DEADLINES * self._deadline,
                done="written",
            )
        except Overtaken:
            raise overtaken from None

    def _request(self, request: Callable[[Any], T]) -> T:
        """Make a request that changes nothing, within the deadline."""
        return self._call(lambda: self._attempt(request), seconds=self._deadline, done="read")

    def _parse(self, stored: Stored) -> KeyRing:
        if stored.text is None:
            raise KeyRingMissing(
                f"There is no key ring at {self.describe()}:"
                f" {stored.absence}run `manage.py generate_keys`."
            )
        return read_document(stored.text, self.describe())

    def _call(self, function: Callable[[], T], *, seconds: float, done: str) -> T:
        try:
            return self._executor.call(function, seconds=seconds)
        except Overtaken:
            raise
        except Exception as error:  # noqa: BLE001  a client may raise anything, and quote a secret
            trouble = self._trouble(error, seconds)
        text = f"{self.describe()} can't be {done}: {trouble.reason}. {trouble.advice}"
        if done == "written" and trouble.unsure:
            text += f" {_UNSURE}"
        kind = KeyStoreUnavailable if trouble.passes else KeyStoreError
        raise kind(" ".join(text.split()))

    def _trouble(self, error: Exception, seconds: float) -> Trouble:
        match error:
            case StillWaiting():
                return Trouble(reason="an earlier request has not been answered yet", passes=True)
            case TimeoutError():
                reason = f"no answer within {seconds:g} seconds"
                return Trouble(reason=reason, passes=True, unsure=True)
            case Unsure(__cause__=Exception() as cause):
                return replace(self._trouble(cause, seconds), unsure=True)
        unknown = replace(_UNKNOWN, reason=f"{_UNKNOWN.reason} ({type(error).__name__})")
        return self._explain(error) or unknown

    def _explain(self, error: Exception) -> Trouble | None:
        return next((means for kind, means in self.troubles if isinstance(error, kind)), None)

    def _attempt(self, request: Callable[[Any], T]) -> T:
        """Make a request that changes nothing: again where that may help."""
        may_renew = self._connected is not None
        pauses = iter(_PAUSES)
        while True:
            try:
                return request(self._client())
            except Exception as error:
                trouble = self._explain(error) or _UNKNOWN
                if trouble.credential and may_renew:
                    self._connected, may_renew = None, False
                    continue
                pause = next(pauses, None) if trouble.passes else None
                if pause is None:
                    raise
            sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  no secret

    def _client(self) -> Any:
        client = self._connected
        if client is None:
            client = self._connected = self._connect()
        return client

    def _forget_client(self) -> None:
        self._connected = None


def option_error(number: str, reason: str, line: str) -> Error:
    return Error(
        f"JWT_AUTH_KEY_STORE: {reason}.",
        hint=f"Write in its OPTIONS {line}",
        id=f"jwt_auth.{number}",
    )


def check_address(option: str, address: str) -> Iterator[CheckMessage]:
    """Judge a service's address: the keys travel there and back."""
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
        yield Warning(
            f"JWT_AUTH_KEY_STORE: {option} is plain HTTP: the private keys and the credential can"
            " be read on their way.",
            hint=f"Write in its OPTIONS {line}",
            id="jwt_auth.W045",
        )
