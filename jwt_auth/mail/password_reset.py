"""The link to set a new password, for those whose stored address is the one that was typed."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser

from jwt_auth import flows
from jwt_auth.conf import conf
from jwt_auth.mail.links import send_link
from jwt_auth.models import write_database
from jwt_auth.users import address_of, canonical_address


def send(*, address: str) -> None:
    """Mail a link to each user with this address, who is active and can log in with a password.

    It goes to the stored address. The typed one may look the same and be someone else's mailbox
    (CVE-2019-19844). If one message fails, the others are sent all the same: users who share an
    address may be strangers to each other.

    Raises:
        Exception: the first one that a message failed with.
    """
    failures: list[Exception] = []
    for user in _find_users(address):
        try:
            _send_to(user)
        except Exception as error:  # noqa: BLE001  raised below, when all users have had their turn
            failures.append(error)
    if failures:
        raise failures[0]


def _send_to(user: AbstractBaseUser) -> None:
    send_link(
        "password_reset",
        user,
        url=conf.password_reset_url,
        lifetime=conf.password_reset_lifetime,
    )


def _find_users(address: str) -> list[AbstractBaseUser]:
    """Find the users as Django's ``PasswordResetForm`` does, those with a confirmed address first.

    Users who share an address also share the number of mails that it may get. Those whom a stranger
    has registered with it must not use it up.
    """
    model = get_user_model()
    users = model._default_manager.using(write_database(model))
    # The database may take more addresses for equal than mail servers do, such as é and e.
    found = [
        user
        for user in users.filter(**{f"{model.get_email_field_name()}__iexact": address})
        if user.is_active
        and user.has_usable_password()
        and canonical_address(address_of(user)) == canonical_address(address)
    ]
    return sorted(found, key=flows.is_email_confirmed, reverse=True)
