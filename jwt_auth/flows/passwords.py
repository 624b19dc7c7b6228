"""Change a user's own password: all their sessions end, and this device gets a new one. Or set a
new password by a one-time token: all sessions end, and no device gets one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import check_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from jwt_auth.exceptions import NewPasswordRefused, OldPasswordRefused
from jwt_auth.flows.issuing import Issued, issue_access_token
from jwt_auth.flows.lifetimes import Lifetimes, lifetimes_for
from jwt_auth.flows.one_time_tokens import use_one_time_token, verify_one_time_token
from jwt_auth.flows.opening import new_family, open_family
from jwt_auth.flows.password_retries import find_former
from jwt_auth.flows.session_claims import SessionClaims, storable_claims
from jwt_auth.models import Client, RefreshTokenFamily, write_database
from jwt_auth.retries import retried
from jwt_auth.users import key_of

PASSWORD_RESET: Final = "password_reset"

_presented: Final[ContextVar[str | None]] = ContextVar("jwt_auth_presented_password", default=None)


@contextmanager
def verifying(password: str) -> Iterator[None]:
    """Tell :mod:`jwt_auth.receivers` which password is being verified.

    Django replaces an outdated hash while it verifies the password. If several logins do so at the
    same time, each of them finds the new hash of another one. Only the password itself shows that
    this isn't the hash of a different password.
    """
    token = _presented.set(password)
    try:
        yield
    finally:
        _presented.reset(token)


@sensitive_variables()
def is_of_presented_password(stored: str) -> bool:
    """Whether a hash belongs to the password that is being verified; false if none is."""
    password = _presented.get()
    return password is not None and check_password(password, stored)


@sensitive_variables()
def change_password(
    user: AbstractBaseUser,
    *,
    old_password: str,
    new_password: str,
    client: Client,
    now: datetime,
    session_id: UUID | None = None,
    presented: str | None = None,
    retry_key: str | None = None,
) -> Issued:
    """Set the new password and open a new session. Saving the password ends all other sessions.

    ``session_id`` is the session in which the user asks for it: the new one keeps its lifetimes and
    its claims, with how and when the user was authenticated. Without it, they were authenticated by
    this password.

    ``presented`` is the refresh token of the session that this ends. Together with a ``retry_key``,
    it lets the client get the answer again if it is lost: :func:`refresh` gives it for the same
    token and key.

    Raises:
        OldPasswordRefused: it isn't the current password, or another change was saved meanwhile.
        NewPasswordRefused: with the validators' messages.
        LifetimesInvalid: as :func:`~jwt_auth.flows.lifetimes.lifetimes_for`; nothing has changed.
        ClaimsInvalid, KeyFailure: no access token can be issued; nothing has changed.
    """
    with verifying(old_password):
        if not user.check_password(old_password):
            raise OldPasswordRefused
    _validate(new_password, user)
    # A trial whose token is thrown away. If no token can be issued, the user has to learn so before
    # the password is changed, not after.
    session = _find_session(session_id, user)
    lifetimes = _lifetimes_after(session, user, client=client)
    claims = _claims_after(session, user, now=now)
    trial = new_family(user, lifetimes=lifetimes, client=client, now=now, claims=claims)
    issue_access_token(trial, now=now)
    model = get_user_model()
    database = write_database(model)

    def change() -> None:
        user.set_password(new_password)
        # jwt_auth.receivers ends the sessions, as it does wherever a password is saved.
        with transaction.atomic(using=database):
            user.save(update_fields=["password"])

    retried(change, using=database)
    # The database has bumped the version that the new access token must carry; ``user`` still has
    # the former one.
    current = model._default_manager.using(database).get(pk=key_of(user))
    if current.password != user.password:
        # Of two changes at the same time, the later one wins, and only its client stays logged in.
        raise OldPasswordRefused
    former = find_former(presented, user_id=key_of(user), retry_key=retry_key, now=now)
    return open_family(
        current,
        client=client,
        now=now,
        password=new_password,
        claims=claims,
        lifetimes=lifetimes,
        former=former,
    )


def _find_session(session_id: UUID | None, user: AbstractBaseUser) -> RefreshTokenFamily | None:
    if session_id is None:
        return None
    sessions = RefreshTokenFamily.objects.deciding().filter(user_id=key_of(user))
    return sessions.filter(pk=session_id).first()


def _lifetimes_after(
    session: RefreshTokenFamily | None, user: AbstractBaseUser, *, client: Client
) -> Lifetimes:
    """Keep the lifetimes that the session was opened with, so that a user who asked to be
    remembered still is.

    A session without its own lifetimes, or none, has those of a login without ``remember_me``.
    """
    if session is None or session.refresh_lifetime is None:
        return lifetimes_for(user, remember_me=False, client=client)
    return Lifetimes.of(session)


def _claims_after(
    session: RefreshTokenFamily | None, user: AbstractBaseUser, *, now: datetime
) -> dict[str, Any]:
    if session is None:
        return storable_claims(None, with_password=True, user_id=key_of(user), now=now)
    return SessionClaims.of(session).all()


@sensitive_variables()
def reset_password(
    token: str, *, new_password: str, now: datetime, client: Client | None = None
) -> AbstractBaseUser:
    """Set a new password by a one-time token, which uses the token. Saving it ends all sessions.

    Raises:
        OneTimeTokenRefused: expired, used, tampered or issued for another purpose.
        NewPasswordRefused: with the validators' messages; the token can still be used.
        KeyFailure: the keys are not available.
    """
    user = verify_one_time_token(token, purpose=PASSWORD_RESET, now=now, client=client)
    _validate(new_password, user)
    # Hashed here, before the transaction locks the user's row.
    user.set_password(new_password)
    return use_one_time_token(
        token,
        purpose=PASSWORD_RESET,
        now=now,
        client=client,
        act=lambda _: user.save(update_fields=["password"]),
    )


@sensitive_variables()
def _validate(new_password: str, user: AbstractBaseUser) -> None:
    try:
        validate_password(new_password, user)  # type: ignore[arg-type]  # typed for one user model
    except ValidationError as refused:
        raise NewPasswordRefused(refused.messages) from None
