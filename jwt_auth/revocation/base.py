"""The contract of a revocation backend.

The database is the truth and is written by :mod:`jwt_auth.flows` whatever the backend; a backend
answers for requests, and may keep a faster copy, which the flows tell of every denial twice: before
the database is written, and once that has been committed.
"""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.checks import CheckMessage
from django.db import transaction

from jwt_auth.backend_settings import BackendSetting
from jwt_auth.conf import conf
from jwt_auth.models import RefreshTokenFamily, write_database
from jwt_auth.tokens.claims import AccessToken
from jwt_auth.users import current_tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """What is being revoked, of one user or, with ``user_id`` ``None``, of whoever has it.

    ``whole_user`` stands for everything that the user holds: all sessions, and all versions before
    the next one. With neither user nor sessions nor tokens, every session there is.
    """

    user_id: Any | None
    session_ids: Sequence[UUID] = ()
    jtis: Sequence[str] = ()
    whole_user: bool = False
    #: Whose users these are (:func:`jwt_auth.users.current_tenant`), fixed here: a thread that
    #: writes the denial later has no tenant. ``None``: those of every tenant.
    tenant: str | None = field(default_factory=current_tenant)
    #: Tells this revocation from others of the same user that are under way at the same time.
    id: str = field(default_factory=lambda: secrets.token_hex(8), compare=False)


class RevocationBackend(ABC):
    """Answers for one request whether its access token still counts."""

    @abstractmethod
    def get_user(self, token: AccessToken) -> AbstractBaseUser:
        """Give the token's user if token, session and user are all in good standing.

        Raises:
            AccessTokenRefused: ``USER_UNKNOWN``, ``USER_INACTIVE``, ``TOKEN_VERSION``,
            ``SESSION_ENDED`` or
                ``TOKEN_REVOKED``.
        """

    def deny(self, denial: Denial) -> None:  # noqa: B027  a backend without a copy has nothing to do
        """Refuse what is denied from now on; the database does not know yet."""

    def confirm(self, denial: Denial) -> None:  # noqa: B027
        """Refuse it for good: the database has committed."""

    def flush(self, timeout: float) -> bool:
        """Write what :meth:`confirm` could not: the process is about to end. Nothing is begun after
        ``timeout`` seconds. Gives whether nothing is left.
        """
        return True

    def check(self) -> list[CheckMessage]:
        """What is wrong or unwise in the settings that it depends on, without reaching for a
        server.
        """
        return []

    def check_server(self) -> list[CheckMessage]:
        """What is unwise in the server that it depends on (``manage.py check --deploy``)."""
        return []


# A forked child keeps the instance: it may know that its copy can't be trusted now.
_setting: Final = BackendSetting("JWT_AUTH_REVOCATION", RevocationBackend)


def get_backend() -> RevocationBackend:
    """The backend that ``JWT_AUTH_REVOCATION`` names, built once for each value of the setting.

    Raises:
        ImproperlyConfigured: there is no such backend, or it does not accept its options.
    """
    return _setting.get_instance(conf.revocation)


@contextmanager
def revoking(denial: Denial) -> Iterator[None]:
    """Write a revocation to the database between the backend's two steps.

    The second waits for the commit, so that it also holds inside somebody's atomic block (the
    admin, a signal receiver), whose writes nobody else sees before.
    """
    backend = get_backend()
    backend.deny(denial)
    yield
    transaction.on_commit(
        partial(backend.confirm, denial), using=write_database(RefreshTokenFamily)
    )
