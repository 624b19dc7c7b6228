"""Confirm the email address of a user, who has received a one-time token there."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.contrib.auth.base_user import AbstractBaseUser
from django.views.decorators.debug import sensitive_variables

from jwt_auth import signals
from jwt_auth.exceptions import OneTimeTokenRefused, Refusal
from jwt_auth.flows.one_time_tokens import after_commit, use_one_time_token
from jwt_auth.models import Client, ConfirmedAddress, write_database
from jwt_auth.users import address_of, key_of

EMAIL_CONFIRMATION: Final = "email_confirmation"


@sensitive_variables()
def confirm_address(token: str, *, now: datetime, client: Client | None = None) -> AbstractBaseUser:
    """Record that the user has received a token at their address, which uses the token.

    Raises:
        OneTimeTokenRefused: also if the user's address has changed since the token was issued.
        KeyFailure: the keys are not available.
    """
    database = write_database(ConfirmedAddress)

    def record(user: AbstractBaseUser) -> None:
        address = address_of(user)
        if not address:
            raise OneTimeTokenRefused(Refusal.BINDING)
        ConfirmedAddress.objects.using(database).update_or_create(
            user_id=key_of(user), defaults={"address": address, "confirmed_at": now}
        )

    user = use_one_time_token(token, purpose=EMAIL_CONFIRMATION, now=now, client=client, act=record)
    after_commit(signals.email_confirmed, sender=ConfirmedAddress, user=user, client=client)
    return user


def is_email_confirmed(user: AbstractBaseUser) -> bool:
    """Whether the user has confirmed the email address that they have now."""
    address = address_of(user)
    confirmed = ConfirmedAddress.objects.using(write_database(ConfirmedAddress))
    rows = confirmed.filter(user_id=key_of(user)).values_list("address", flat=True)
    # Compared here, because some databases ignore case and accents.
    return address != "" and rows.first() == address
