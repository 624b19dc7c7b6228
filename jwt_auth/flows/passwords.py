"""A password change by its owner: everything from before ends, and this device goes on with a new
session.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from jwt_auth.exceptions import NewPasswordRefused, OldPasswordRefused, RefreshTokenRefused
from jwt_auth.flows.issuing import Issued, issue_access_token
from jwt_auth.flows.sessions import Former, find_former, log_in, new_family
from jwt_auth.models import Client, write_database
from jwt_auth.retries import retried
from jwt_auth.tokens import refresh as refresh_tokens
from jwt_auth.users import key_of


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
    former = _find_former(presented, retry_key, user_id=key_of(user), now=now)
    return log_in(current, client=client, now=now, former=former)


def _find_former(
    presented: str | None, retry_key: str | None, *, user_id: Any, now: datetime
) -> Former | None:
    if presented is None or retry_key is None:
        return None
    try:
        token = refresh_tokens.parse(presented)
    except RefreshTokenRefused:
        return None
    return find_former(token, user_id=user_id, retry_key=retry_key, now=now)
