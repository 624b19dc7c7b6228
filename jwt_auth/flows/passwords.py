"""A password change by its owner: everything from before ends, and this device goes on with a new
session.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Final

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import check_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from jwt_auth.exceptions import NewPasswordRefused, OldPasswordRefused
from jwt_auth.flows.handover import find_former
from jwt_auth.flows.issuing import Issued, issue_access_token
from jwt_auth.flows.opening import log_in, new_family
from jwt_auth.models import Client, write_database
from jwt_auth.retries import retried
from jwt_auth.users import key_of

_presented: Final[ContextVar[str | None]] = ContextVar("jwt_auth_presented_password", default=None)


@contextmanager
def verifying(password: str) -> Iterator[None]:
    """Tell :mod:`jwt_auth.receivers` which password is verified meanwhile.

    Django hashes it anew where the stored hash is outdated. Of several log-ins at once each finds
    another one's hash stored by then, which only the password itself tells from another password.
    """
    token = _presented.set(password)
    try:
        yield
    finally:
        _presented.reset(token)


@sensitive_variables()
def is_of_presented_password(stored: str) -> bool:
    """Whether a hash is of the password that is being verified, if one is."""
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
    presented: str | None = None,
    retry_key: str | None = None,
) -> Issued:
    """Set the new password and open a new session; saving it has ended every other one.

    With ``presented``, the refresh token of a session that ends by it, and a ``retry_key``, the
    answer can be had again if it is lost: :func:`refresh` gives it for the same two.

    Raises:
        OldPasswordRefused: it is not the current one, or is no longer once the new one is saved.
        NewPasswordRefused: with the validators' messages.
        ClaimsInvalid, KeyFailure: no access token can be issued; nothing has changed.
    """
    with verifying(old_password):
        if not user.check_password(old_password):
            raise OldPasswordRefused
    try:
        validate_password(new_password, user)  # type: ignore[arg-type]  # typed for one user model
    except ValidationError as refused:
        raise NewPasswordRefused(refused.messages) from None
    # A trial, thrown away: who hears that it failed must not have another password already.
    issue_access_token(new_family(user, client=client, now=now), now=now)
    model = get_user_model()
    database = write_database(model)

    def change() -> None:
        user.set_password(new_password)
        # jwt_auth.receivers ends the sessions, as for every password that is saved anywhere.
        with transaction.atomic(using=database):
            user.save(update_fields=["password"])

    retried(change, using=database)
    # Read anew: the version that the new access token must carry was bumped beside this instance.
    current = model._default_manager.using(database).get(pk=key_of(user))
    if current.password != user.password:
        # Of two changes at the same time the later one counts, and only whoever made it stays.
        raise OldPasswordRefused
    former = find_former(presented, user_id=key_of(user), retry_key=retry_key, now=now)
    return log_in(current, client=client, now=now, password=new_password, former=former)
