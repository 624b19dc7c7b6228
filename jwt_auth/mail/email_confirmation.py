"""The link by which a user confirms that the stored address is theirs."""

from __future__ import annotations

from jwt_auth.conf import conf
from jwt_auth.mail.links import send_link
from jwt_auth.mail.recipients import find_user


def send(*, user_id: str) -> None:
    """Mail a link to a user's stored address, unless the user is gone or inactive."""
    user = find_user(user_id)
    if user is not None:
        send_link(
            "email_confirmation",
            user,
            url=conf.email_confirmation_url,
            lifetime=conf.email_confirmation_lifetime,
        )
