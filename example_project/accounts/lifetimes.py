"""How long the project's sessions last (JWT_AUTH_SESSION_LIFETIMES)."""

from datetime import timedelta

from example_project.accounts.models import User
from jwt_auth.conf import conf
from jwt_auth.models import Client


def lifetimes_of(user: User, *, remember_me: bool, client: Client) -> tuple[timedelta, timedelta]:
    """Return how long an unused session lasts, and how long any session does.

    The settings decide, unless the user has asked to stay logged in.
    """
    if remember_me:
        return timedelta(days=30), timedelta(days=180)
    return conf.refresh_token_lifetime, conf.session_lifetime
