"""Verify a refresh token that a request presents, once: from here on it travels as a value."""

from __future__ import annotations

from django.views.decorators.debug import sensitive_variables

from jwt_auth import signals
from jwt_auth.exceptions import RefreshTokenRefused
from jwt_auth.models import Client, RefreshTokenFamily
from jwt_auth.tokens import refresh as refresh_tokens
from jwt_auth.tokens.refresh import RefreshToken


@sensitive_variables()
def verify_refresh_token(presented: str, *, client: Client) -> RefreshToken:
    """Verify that we issued a refresh token; whether its session is still live is not looked at.

    The signal ``refresh_token_forged`` reports a forged token. It costs no SQL and ends no session.

    Raises:
        RefreshTokenRefused: malformed, truncated, or not made with any of our secret keys.
    """
    try:
        return refresh_tokens.parse(presented)
    except RefreshTokenRefused:
        signals.refresh_token_forged.send_robust(sender=RefreshTokenFamily, client=client)
        raise
