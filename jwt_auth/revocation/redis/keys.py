"""The names of the keys in Redis: one hash for each user of each tenant."""

from __future__ import annotations

import re
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import DEFAULT_DB_ALIAS

from jwt_auth.conf import conf
from jwt_auth.users import current_tenant

#: The layout of the hash. Another layout gets other keys, so that two releases can share a server.
LAYOUT: Final = 1


class Keys:
    """The keys that begin with one prefix, or with the issuer's if the options name none."""

    def __init__(self, prefix: str | None) -> None:
        self._prefix = prefix

    def of_user(self, subject: Any, *, tenant: str | None = None) -> bytes:
        """Name the hash of one user, by default of the current tenant's.

        The subject has the form of the user model's key: a denial may bring a UUID, and a token
        brings its text. A subject that can't be a key of the user model gets a key here, too.
        """
        name = _quoted(self._current_tenant() if tenant is None else tenant)
        key = self._as_key(subject)
        # The braces put all keys of a user into one slot of a cluster.
        return f"{self._namespace()}{name}:{{{key}}}".encode("utf-8", "surrogatepass")

    def _as_key(self, subject: Any) -> Any:
        with suppress(ValidationError):
            return get_user_model()._meta.pk.to_python(subject)
        return subject

    def _current_tenant(self) -> str:
        return current_tenant()

    def pattern(self, tenant: str | None) -> bytes:
        """The glob pattern of every user's hash; ``None`` means those of all tenants."""
        # The prefix may contain characters that a pattern would interpret.
        namespace = re.sub(r"([*?\[\]\\^-])", r"\\\1", self._namespace())
        name = "*" if tenant is None else _quoted(tenant)
        return f"{namespace}{name}:{{*".encode()

    def probe(self) -> bytes:
        return f"{self._namespace()}probe".encode()

    def _namespace(self) -> str:
        # Two projects that share a server have two issuers.
        prefix = self._prefix or f"jwt_auth:{sha256(conf.issuer.encode()).hexdigest()[:8]}"
        return f"{prefix}:{LAYOUT}:"


class IssuerKeys(Keys):
    """The same names in a service that has another user model, and other databases or none."""

    def _as_key(self, subject: Any) -> Any:
        # A token brings the key in the issuer's own spelling. Read as a key of this service's user
        # model, it could get another one.
        return subject

    def _current_tenant(self) -> str:
        # The issuer's database is "default", unless JWT_AUTH_TENANT says otherwise.
        return DEFAULT_DB_ALIAS if conf.tenant is None else super()._current_tenant()


def _quoted(tenant: str) -> str:
    # Braces would name the slot, and a pattern would interpret other special characters.
    return quote(tenant, safe="/")
