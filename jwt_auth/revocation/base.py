"""The contract of a revocation backend.

The database is authoritative, and :mod:`jwt_auth.flows` writes to it whatever the backend is. A
backend answers requests and may keep a faster copy for that. The flows tell the backend of every
denial twice: before they write to the database, and after the commit.
"""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from asgiref.sync import sync_to_async
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.checks import CheckMessage

from jwt_auth.backend_settings import BackendSetting
from jwt_auth.conf import conf
from jwt_auth.revocation.token_user import TokenUser
from jwt_auth.tokens.claims import AccessToken
from jwt_auth.users import current_tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """The sessions and tokens that are being revoked; ``user_id`` ``None`` means of any user.

    ``whole_user`` means everything that was issued to the user: all versions before the next one.
    Which sessions end with them, and which go on, is in the database. Without a user, sessions and
    tokens, a denial means every session of every user.
    """

    user_id: Any | None
    session_ids: Sequence[UUID] = ()
    jtis: Sequence[str] = ()
    whole_user: bool = False
    #: Whether the user is about to be deleted, so that no later version can be valid either.
    deletes_user: bool = field(default=False, compare=False)
    #: The tenant of the users (:func:`jwt_auth.users.current_tenant`), or ``None`` for all tenants.
    #: It is fixed here because a thread that writes the denial later has no tenant.
    tenant: str | None = field(default_factory=current_tenant)
    #: Distinguishes this revocation from others of the same user that run at the same time.
    id: str = field(default_factory=lambda: secrets.token_hex(8), compare=False)


class RevocationBackend(ABC):
    """Decides at each request whether the access token is still valid."""

    @property
    def maps_users(self) -> bool:
        """Whether the users are those of :func:`jwt_auth.revocation.token_user.user_of`.

        A local user that the project's own callable finds may have any key. All other users are
        found by the ``sub``, and are refused if their key has another spelling.
        """
        return False

    @abstractmethod
    def get_user(self, token: AccessToken) -> AbstractBaseUser | TokenUser:
        """Return the token's user if neither the token nor its session nor its user is refused.

        Raises:
            AccessTokenRefused: ``USER_UNKNOWN``, ``USER_INACTIVE``, ``TOKEN_VERSION``,
                ``SESSION_ENDED`` or ``TOKEN_REVOKED``.
        """

    def get_presented_user(self, token: AccessToken, text: str) -> AbstractBaseUser | TokenUser:
        """Do the same for a request that presented the token as ``text``.

        Only a backend that shows the token to another service needs the text.

        Raises:
            AccessTokenRefused: as :meth:`get_user`, or ``REFUSED_BY_ISSUER``.
            RevocationUnknown: nobody could be asked.
        """
        return self.get_user(token)

    async def aget_presented_user(
        self, token: AccessToken, text: str
    ) -> AbstractBaseUser | TokenUser:
        """Do the same without blocking the event loop: in the thread that has the request's
        database connections.
        """
        return await sync_to_async(self.get_presented_user)(token, text)

    def deny(self, denial: Denial) -> None:  # noqa: B027  a backend without a copy has nothing to do
        """Refuse from now on what is being denied. The database isn't written yet."""

    def confirm(self, denial: Denial) -> None:  # noqa: B027
        """Refuse it for good. The write to the database has been committed."""

    def flush(self, timeout: float) -> bool:
        """Write what :meth:`confirm` could not write, because the process is about to end.

        No write is begun after ``timeout`` seconds. Return whether everything is written.
        """
        return True

    def check(self) -> list[CheckMessage]:
        """Report what is wrong or unwise in the backend's settings, without asking a server."""
        return []

    def check_server(self) -> list[CheckMessage]:
        """Report what is unwise in the backend's server, for ``manage.py check --deploy``."""
        return []


# A forked child keeps the instance: it may know that its copy can't be trusted now.
_setting: Final = BackendSetting("JWT_AUTH_REVOCATION", RevocationBackend)


def get_backend() -> RevocationBackend:
    """The backend that ``JWT_AUTH_REVOCATION`` names, built once for each value of the setting.

    Raises:
        ImproperlyConfigured: the backend does not exist, or does not accept its options.
    """
    return _setting.get_instance(conf.revocation)


def keeps_sessions() -> bool:
    """Whether the sessions and their users are in a database of this project.

    A service that only verifies may share the issuer's database. Otherwise they are at the issuer.
    """
    return conf.jwks_url is None or not get_backend().maps_users
