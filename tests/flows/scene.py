"""The words that tests of sessions are written in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from jwt_auth import flows
from jwt_auth.exceptions import AccessTokenRefused, Refusal
from jwt_auth.flows import Issued
from jwt_auth.models import Client, RefreshTokenFamily
from jwt_auth.tokens.claims import AccessToken

BROWSER = Client(ip_address="192.0.2.7", user_agent="Browser/1.0")
STRANGER = Client(ip_address="198.51.100.66", user_agent="curl/8")


def log_in(user: Any, *, now: datetime | None = None, client: Client = BROWSER) -> Issued:
    """Open a session, of now where no time is given."""
    return flows.log_in(user, client=client, now=now or datetime.now(UTC))


def refresh(
    issued: Issued | str,
    *,
    key: str | None = None,
    now: datetime | None = None,
    client: Client = BROWSER,
) -> Issued:
    """Send the refresh token of a pair, with a retry key or without."""
    presented = issued if isinstance(issued, str) else issued.refresh_token.text
    return flows.refresh(presented, retry_key=key, client=client, now=now or datetime.now(UTC))


def authenticate(issued: Issued) -> tuple[Any, AccessToken]:
    """Send the access token of a pair, now: one of a later second would not be valid yet."""
    return flows.authenticate(issued.access_token.text, client=BROWSER, now=datetime.now(UTC))


def refusal_of(issued: Issued | str, *, now: datetime | None = None) -> Refusal | None:
    """Say why the access token of a pair is refused; None where it is accepted."""
    text = issued if isinstance(issued, str) else issued.access_token.text
    try:
        flows.authenticate(text, client=BROWSER, now=now or datetime.now(UTC))
    except AccessTokenRefused as refused:
        return refused.reason
    return None


def row_of(issued: Issued) -> RefreshTokenFamily:
    """Read the session's row as it is now."""
    return RefreshTokenFamily.objects.get(pk=issued.family.pk)
