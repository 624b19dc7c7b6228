"""How long a session lasts: by the settings, or by the project's ``JWT_AUTH_SESSION_LIFETIMES``.

The callable is asked once, when the session is opened. The session keeps the answer, so a later
change of the callable or of the settings neither extends nor shortens it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from django.contrib.auth.base_user import AbstractBaseUser
from django.utils.module_loading import import_string

from jwt_auth.conf import MAX_LIFETIME, MIN_REFRESH_TOKEN_LIFETIME, conf
from jwt_auth.exceptions import LifetimesInvalid
from jwt_auth.models import Client, RefreshTokenFamily


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """The lifetimes of one session."""

    #: From each use of the refresh token; ``None`` means ``JWT_AUTH_REFRESH_TOKEN_LIFETIME`` as it
    #: is at that use.
    refresh_token: timedelta | None
    #: However often the session is refreshed.
    session: timedelta

    @classmethod
    def of(cls, family: RefreshTokenFamily) -> Self:
        """The lifetimes that a session was opened with."""
        return cls(
            refresh_token=family.refresh_lifetime,
            session=family.absolute_expires_at - family.created_at,
        )


def lifetimes_for(user: AbstractBaseUser, *, remember_me: bool, client: Client) -> Lifetimes:
    """Decide how long a new session lasts.

    Raises:
        LifetimesInvalid: the project's callable returned something else than two lifetimes within
            the limits.
    """
    if conf.session_lifetimes is None:
        return Lifetimes(refresh_token=None, session=conf.session_lifetime)
    choose = import_string(conf.session_lifetimes)
    match choose(user, remember_me=remember_me, client=client):
        case (timedelta() as refresh_token, timedelta() as session):
            if MIN_REFRESH_TOKEN_LIFETIME <= refresh_token <= session <= MAX_LIFETIME:
                return Lifetimes(refresh_token=refresh_token, session=session)
            raise LifetimesInvalid(
                f"JWT_AUTH_SESSION_LIFETIMES returned the lifetimes {refresh_token} and {session}. "
                f"The first must be at least {MIN_REFRESH_TOKEN_LIFETIME}, and the second must be"
                f" between the first and {MAX_LIFETIME}."
            )
        case _:
            raise LifetimesInvalid(
                "JWT_AUTH_SESSION_LIFETIMES must return two timedeltas, the lifetime of the "
                "refresh token and that of the session."
            )
