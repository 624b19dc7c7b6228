"""One-time tokens: issue one for a user, look at one, and use one once.

A token is bound to its user, purpose and tenant, and to the user's token version and email address
at the time of issue. So a changed password, a logout from all devices and a changed address make it
worthless. Deactivation, and a default manager that hides the user, do so as well.

A token is used by inserting its ``jti`` in the transaction that does what the token allows. Of two
requests at the same time, the second waits for the first one's row, and is refused once that has
been committed. If the first one is rolled back, nothing has been used, and the second goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.dispatch import Signal
from django.views.decorators.debug import sensitive_variables

from jwt_auth import signals
from jwt_auth.conf import MAX_ONE_TIME_TOKEN_LIFETIME
from jwt_auth.exceptions import OneTimeTokenRefused, Refusal, VerifyOnly
from jwt_auth.models import (
    Client,
    TokenVersion,
    UsedOneTimeToken,
    has_version_field,
    token_version_of,
    write_database,
)
from jwt_auth.retries import retried
from jwt_auth.revocation.base import keeps_sessions
from jwt_auth.tokens import one_time
from jwt_auth.tokens.one_time import OneTimeToken
from jwt_auth.users import address_of, current_tenant, is_hidden, key_of


@sensitive_variables()
def issue_one_time_token(
    user: AbstractBaseUser, *, purpose: str, lifetime: timedelta, now: datetime
) -> str:
    """Issue a token that lets its holder do one thing once in the user's name.

    ``purpose`` is any text, such as ``"invitation"``; a token is good for that purpose only. The
    ``lifetime`` is 24 hours at most, and ends earlier if the key that signs expires earlier.

    Raises:
        ValueError: the purpose is empty, or the lifetime is too long, or none at all.
        TypeError: ``user`` is not an instance of ``AUTH_USER_MODEL``, or ``lifetime`` not a
            timedelta.
        KeyFailure: no key can sign, or (``VerifyOnly``) this service only verifies tokens.
    """
    if not purpose:
        raise ValueError("A one-time token needs a purpose.")
    if not isinstance(lifetime, timedelta):
        raise TypeError("The lifetime of a one-time token must be a timedelta.")
    if not timedelta(seconds=1) <= lifetime <= MAX_ONE_TIME_TOKEN_LIFETIME:
        raise ValueError(
            "The lifetime of a one-time token must be between a second and "
            f"{MAX_ONE_TIME_TOKEN_LIFETIME}."
        )
    _require_users()
    return one_time.issue(
        subject=str(key_of(user)),
        purpose=purpose,
        token_version=token_version_of(user),
        bound_to=_bound_to(user),
        expires_at=now + lifetime,
        now=now,
    )


@sensitive_variables()
def verify_one_time_token(
    text: str, *, purpose: str, now: datetime, client: Client | None = None
) -> AbstractBaseUser:
    """Return the user of a token that can be used now. The token isn't used by this.

    Raises:
        OneTimeTokenRefused: the signal ``one_time_token_refused`` has reported the reason.
        KeyFailure: the keys are not available, or this service only verifies access tokens.
    """
    with _verified(text, purpose=purpose, client=client, now=now) as token:
        users = get_user_model()._base_manager.using(write_database(get_user_model()))
        user = _judge_user(token, users)
        if UsedOneTimeToken.objects.deciding().filter(pk=token.jti).exists():
            raise OneTimeTokenRefused(Refusal.USED)
        return user


@sensitive_variables()
def use_one_time_token(
    text: str,
    *,
    purpose: str,
    now: datetime,
    client: Client | None = None,
    act: Callable[[AbstractBaseUser], object] | None = None,
) -> AbstractBaseUser:
    """Use a token, and call ``act(user)`` in the same transaction. Returns the user.

    If ``act`` raises an error, the token remains unused. If the database asks for it, such as after
    a deadlock, the transaction is repeated, and ``act`` with it. Inside a transaction of the caller
    the token is used when that one is committed, and only the caller can repeat it.

    Raises:
        OneTimeTokenRefused: the signal ``one_time_token_refused`` has reported the reason.
        KeyFailure: the keys are not available, or this service only verifies access tokens.
    """
    database = write_database(UsedOneTimeToken)
    with _verified(text, purpose=purpose, client=client, now=now) as token:
        user = retried(lambda: _use(token, act, database=database), using=database)
    after_commit(
        signals.one_time_token_used,
        sender=UsedOneTimeToken,
        user=user,
        purpose=purpose,
        client=client,
    )
    return user


def after_commit(signal: Signal, **arguments: Any) -> None:
    """Send a signal once the transaction has been committed: at once, unless a caller began one."""
    database = write_database(UsedOneTimeToken)
    transaction.on_commit(partial(signal.send_robust, **arguments), using=database)


@contextmanager
def _verified(
    text: str, *, purpose: str, client: Client | None, now: datetime
) -> Iterator[OneTimeToken]:
    """Verify the token itself, and report its refusal here or in the block."""
    _require_users()
    token: OneTimeToken | None = None
    try:
        token = one_time.verify(text, purpose=purpose, now=now)
        yield token
    except OneTimeTokenRefused as refused:
        signals.one_time_token_refused.send_robust(
            sender=UsedOneTimeToken,
            purpose=purpose,
            reason=refused.reason,
            user_id=None if token is None else token.subject,
            client=client,
        )
        raise


def _use(
    token: OneTimeToken, act: Callable[[AbstractBaseUser], object] | None, *, database: str
) -> AbstractBaseUser:
    users = get_user_model()._base_manager.using(database)
    # Inside a caller's transaction this is a savepoint, and that one can go on after a refusal.
    with transaction.atomic(using=database):
        # The INSERT is first: SQLite waits for its write lock only at the beginning of a
        # transaction, and what is read after it can't change before the commit.
        _insert(token, database=database)
        # With a lock, so that no password, version or address changes before the commit.
        user = _judge_user(token, users.select_for_update())
        if act is not None:
            act(user)
    return user


def _insert(token: OneTimeToken, *, database: str) -> None:
    used = UsedOneTimeToken(jti=token.jti, expires_at=token.expires_at)
    try:
        used.save(force_insert=True, using=database)
    except IntegrityError:
        raise OneTimeTokenRefused(Refusal.USED) from None


def _judge_user(token: OneTimeToken, users: Any) -> AbstractBaseUser:
    user = _find_user(token, users)
    if not user.is_active:
        raise OneTimeTokenRefused(Refusal.USER_INACTIVE)
    if _current_version(user, database=users.db) != token.token_version:
        raise OneTimeTokenRefused(Refusal.TOKEN_VERSION)
    if not token.is_bound_to(_bound_to(user)):
        raise OneTimeTokenRefused(Refusal.BINDING)
    return user


def _find_user(token: OneTimeToken, users: Any) -> AbstractBaseUser:
    try:
        user: AbstractBaseUser | None = users.filter(pk=token.subject).first()
    except (ValidationError, ValueError, OverflowError):
        user = None  # the subject isn't a possible key of the user model
    # Databases accept several spellings of a key. Only the one that we issue is accepted.
    if user is None or str(key_of(user)) != token.subject or is_hidden(key_of(user)):
        raise OneTimeTokenRefused(Refusal.USER_UNKNOWN)
    return user


def _current_version(user: AbstractBaseUser, *, database: str) -> int:
    """The user's token version, as it is now whatever the isolation of the transaction is."""
    if has_version_field(type(user)):
        return token_version_of(user)
    versions = TokenVersion.objects.using(database).filter(user_id=key_of(user))
    if transaction.get_connection(database).in_atomic_block:
        versions = versions.select_for_update()
    return versions.values_list("token_version", flat=True).first() or 0


def _bound_to(user: AbstractBaseUser) -> tuple[str, str]:
    # The tenant: user 1 of one tenant isn't user 1 of another, even with the same address.
    return current_tenant(), address_of(user)


def _require_users() -> None:
    """Refuse to work with the users of a service that only verifies: the tokens aren't theirs."""
    if not keeps_sessions():
        raise VerifyOnly
