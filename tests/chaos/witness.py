"""A session that Redis knows as a living one, and that is revoked while Redis is disturbed."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tests.live.site import Server, bearer
from tests.live.test_transcript import hello, log_in

#: Seconds between two looks.
_EVERY = 0.1


class Witness:
    """Asks every server again and again, whichever of its workers answers."""

    def __init__(self, servers: Sequence[Server], user: str, *, believed_for: float = 0.0) -> None:
        self.user = user
        self._servers = servers
        #: Seconds for which a worker may accept what was revoked.
        self._believed_for = believed_for
        with servers[0].session() as client:
            self._token = log_in(client, user)
        self._revoked_at: float | None = None
        self._last = time.monotonic()

    def appear(self) -> None:
        """Have Redis know the session."""
        assert self._ask() == {200}

    def log_out(self) -> None:
        """End the session, once."""
        if self._revoked_at is None:
            with self._servers[0].session() as client:
                answer = client.post("/api/auth/logout/", headers=bearer(self._token))
            assert answer.status_code == 204
            self.is_out()

    def is_out(self) -> None:
        """Take note that the session has been ended."""
        self._revoked_at = time.monotonic()

    def look(self) -> None:
        """See that what was revoked is refused.

        Raises:
            AssertionError: a worker accepts it.
        """
        assert self._revoked_at is not None
        began = time.monotonic()
        answers = self._ask()
        assert answers == {401} or began < self._revoked_at + self._believed_for
        self._last = time.monotonic()

    def look_now_and_then(self) -> None:
        """Leave the servers some time for others."""
        if time.monotonic() > self._last + _EVERY:
            self.look()

    def _ask(self) -> set[int]:
        answers = set()
        for server in self._servers:
            with server.session() as client:
                answers.add(hello(client, self._token))
        return answers
