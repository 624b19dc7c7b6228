"""One way to call a service over the network, for the key stores and signers that need it.

- Each call has a deadline, whatever the service does (:mod:`jwt_auth.keys.bounded_call`).
- A request that changes nothing is made again if its error is likely to pass by itself.
- A refused credential is read again, once: tokens expire, and the files that hold them are
  rewritten.
- A forked process makes its own client. On a shared connection each process would read the
  other's answers.

An error of the service's client is repeated by its name or code only. Its message may quote a
request, a header or an account.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Lock
from time import sleep
from typing import Any, Final, TypeVar

from jwt_auth.keys.bounded_call import BoundedExecutor, StillWaiting

T = TypeVar("T")

#: The names of the threads that make the calls.
SIGNER_THREAD: Final = "jwt_auth-key-signer"
STORE_THREAD: Final = "jwt_auth-key-store"

#: Ends each error message: the table there says for each name or code what to do.
SEE_TABLE: Final = 'See "Errors" in docs/how-to/remote-key-stores.md.'


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """As much of a client's error as may be repeated and is acted on."""

    #: The name or code of the error, never its message.
    reason: str
    #: The same request may succeed in a moment.
    passes: bool = False
    #: The credential was refused, and its source may have another one by now.
    credential: bool = False
    #: The service has answered that it did nothing. Otherwise a write may have happened.
    refused: bool = False


class RemoteClient(BoundedExecutor):
    """Keeps one client of a service, which ``connect`` makes, and calls the service with it."""

    def __init__(
        self,
        connect: Callable[[], Any],
        *,
        explain: Callable[[Exception], Fault],
        places: int,
        name: str,
    ) -> None:
        self._connect, self._explain = connect, explain
        super().__init__(places, name=name)

    def _start_anew(self) -> None:
        super()._start_anew()
        self._client: Any = None
        self._connecting = Lock()

    def attempt(self, request: Callable[[Any], T], *, pauses: Iterable[float] = ()) -> T:
        """Make a request that changes nothing, on this thread.

        ``pauses`` are the seconds before each further attempt, plus or minus half of them.
        """
        former, pauses = self._client, iter(pauses)
        while True:
            try:
                return request(self.get_client())
            except Exception as error:
                fault = self._explain(error)
                if fault.credential and former is not None:
                    self.replace_client(former, None)
                    former = None
                    continue
                pause = next(pauses, None) if fault.passes else None
                if pause is None:
                    raise
            sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  not a secret

    def get_client(self) -> Any:
        with self._connecting:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def replace_client(self, former: Any, client: Any) -> None:
        """Use another client from now on, unless another thread has replaced ``former`` already."""
        with self._connecting:
            if self._client is former:
                self._client = client

    def explain(self, error: Exception, *, seconds: float) -> Fault:
        """Explain what a call with that deadline has raised."""
        match error:
            case StillWaiting():
                return Fault(reason="earlier requests still wait for an answer", passes=True)
            case TimeoutError():
                return Fault(reason=f"no answer within {seconds:g} seconds", passes=True)
        return self._explain(error)
