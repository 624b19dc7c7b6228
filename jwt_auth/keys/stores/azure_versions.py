"""The rule that picks the ring among a secret's versions, in a service without compare-and-swap.

Azure Key Vault takes every write as a new version, whose time of creation has whole seconds. So
each version that a store writes names the version it was made from, and of the versions that follow
the same one, the first counts: it was written before the others, or in the same second with the
smaller id. A version that an operator wrote by hand names no other. It counts from its time on, and
a store that was about to write at that moment has lost to it.

A writer waits before it checks which version was first, for longer than the clocks of the service's
machines differ. Any version that is written after the check then has a later time as well. The
first version is marked as settled, so that a reader need not read the others.

The rule is pure. :mod:`.azure` acts on its result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

#: The tag that names the version that this one was made from.
FOLLOWS: Final = "jwt-auth-follows"

#: The value of that tag on the first ring.
NOTHING: Final = "nothing"

#: The tag of a version that was the first to follow its own.
SETTLED: Final = "jwt-auth-settled"

#: The tag of one that was not the first. The store disables it as well. Without the tag it would
#: look like a version that an operator has disabled.
LOST: Final = "jwt-auth-lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    id: str
    created: datetime
    enabled: bool
    tags: Mapping[str, str]

    @classmethod
    def of(cls, properties: Any) -> Self:
        """Read an ``azure.keyvault.secrets.SecretProperties``.

        Raises:
            ValueError: the version's id or its time of creation is missing.
        """
        if not properties.version or properties.created_on is None:
            raise ValueError("no version")
        return cls(
            id=properties.version,
            created=properties.created_on,
            enabled=properties.enabled is not False,
            tags=properties.tags or {},
        )

    @property
    def follows(self) -> str | None:
        return self.tags.get(FOLLOWS)

    @property
    def is_certain(self) -> bool:
        """True if the version counts regardless of the others."""
        return self.follows is None or SETTLED in self.tags

    @property
    def order(self) -> tuple[datetime, str]:
        return self.created, self.id


class History:
    """All versions of a secret. A disabled version is never the ring."""

    def __init__(self, versions: Iterable[Version]) -> None:
        self._versions = {version.id: version for version in versions}

    def find_current(self) -> Version | None:
        """Return the newest version that counts and that no counting version follows."""
        counting = [version for version in self._enabled() if self._counts(version)]
        followed = {version.follows for version in counting}
        ends = [version for version in counting if version.id not in followed]
        return max(ends, key=lambda version: version.order, default=None)

    def has_won(self, id: str) -> bool:  # noqa: A002  the service's own word
        version = self._versions.get(id)
        return version is not None and version.enabled and self._counts(version)

    def _counts(self, version: Version) -> bool:
        """True if the version was the first, and so was the one that it follows, and so on."""
        link: Version | None = version
        while link is not None and not link.is_certain:
            if LOST in link.tags or any(rival.order < link.order for rival in self._rivals(link)):
                return False
            link = self._former(link)
        return True

    def _rivals(self, version: Version) -> Iterator[Version]:
        """The others that follow the same version, and those written by hand since that version."""
        former = self._former(version)
        for other in self._enabled():
            by_hand = other.follows is None and (former is None or other.created > former.created)
            if by_hand or other.follows == version.follows:
                yield other

    def _former(self, version: Version) -> Version | None:
        return self._versions.get(version.follows or "")

    def _enabled(self) -> Iterator[Version]:
        return (version for version in self._versions.values() if version.enabled)
