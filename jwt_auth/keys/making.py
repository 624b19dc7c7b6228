"""Making the next key, once, however often the change of the ring has to start again."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Final, Self

from jwt_auth.conf import conf
from jwt_auth.keys import jwk as jwks
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.signers.base import NewKey, how_to_end, make_key, try_out

logger: Final = logging.getLogger("jwt_auth")


class Maker:
    """Makes one key; says so where a service made it and no ring has it in the end.

    Such a key is paid for and could sign. It is not deleted from here: what a program deletes by
    mistake there nobody brings back.
    """

    def __init__(self, *, dry_run: bool = False) -> None:
        self._dry_run = dry_run
        self._made: NewKey | None = None

    def make(self, algorithm: str | None) -> NewKey:
        """Give the key; with ``dry_run`` one that nobody but this process has ever heard of."""
        if self._made is None:
            wanted = algorithm or conf.algorithm
            make = _make_here if self._dry_run else make_key
            self._made = make(wanted)
            try_out(self._made)
        return self._made

    def keep(self, ring: KeyRing) -> None:
        """Be content where the ring has the key."""
        if self._made is not None and ring.find(self._made.jwk["kid"]) is not None:
            self._made = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        reference = None if self._made is None else self._made.signer
        if reference is not None:
            logger.warning(
                "A key was made at %s in vain. %s",
                reference.backend,
                how_to_end(reference),
            )


def _make_here(algorithm: str) -> NewKey:
    return NewKey(jwk=jwks.generate(algorithm))
