"""A password change by its owner: everything from before ends, and this device goes on with a new
session.
"""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from jwt_auth.exceptions import NewPasswordRefused, OldPasswordRefused
from jwt_auth.flows.sessions import Issued, log_in
from jwt_auth.models import Client, write_database


def change_password(
    user: AbstractBaseUser, *, old_password: str, new_password: str, client: Client, now: datetime
) -> Issued:
    """Set the new password and open a new session; saving it has ended every other one.

    Raises:
        OldPasswordRefused: it is not the current one.
        NewPasswordRefused: with the validators' messages.
    """
    if not user.check_password(old_password):
        raise OldPasswordRefused
    try:
        validate_password(new_password, user)  # type: ignore[arg-type]  # typed for one user model
    except ValidationError as refused:
        raise NewPasswordRefused(refused.messages) from None
    user.set_password(new_password)
    # jwt_auth.receivers ends the sessions, as for every password that is saved anywhere.
    user.save(update_fields=["password"])
    # Read anew: the version that the new access token must carry was bumped beside this instance.
    users = type(user)._default_manager.using(write_database(type(user)))
    return log_in(users.get(pk=user.pk), client=client, now=now)
