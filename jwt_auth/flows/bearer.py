"""Find the user of a bearer token, at every request (RFC 6750)."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.base_user import AbstractBaseUser
from django.views.decorators.debug import sensitive_variables

from jwt_auth import signals
from jwt_auth.exceptions import AccessTokenRefused, Refusal
from jwt_auth.models import Client
from jwt_auth.revocation.base import RevocationBackend, get_backend
from jwt_auth.revocation.token_user import TokenUser
from jwt_auth.tokens import access
from jwt_auth.tokens.claims import AccessToken


@sensitive_variables()
def authenticate(
    text: str, *, client: Client, now: datetime
) -> tuple[AbstractBaseUser | TokenUser, AccessToken]:
    """Verify an access token, and that its user, session and version are still valid.

    Raises:
        AccessTokenRefused: with the reason; the signal ``token_refused`` has reported it before.
        KeyFailure: the keys are not available.
        RevocationUnknown: the issuer, which has to be asked, doesn't answer.
    """
    token: AccessToken | None = None
    try:
        token = access.verify(text, now=now)
        backend = get_backend()
        user = backend.get_presented_user(token, text)
        _verify_spelling(user, token, backend)
    except AccessTokenRefused as refused:
        signals.token_refused.send_robust(
            sender=AccessToken, reason=refused.reason, token=token, client=client
        )
        raise
    return user, token


@sensitive_variables()
async def aauthenticate(
    text: str, *, client: Client, now: datetime
) -> tuple[AbstractBaseUser | TokenUser, AccessToken]:
    """Do the same without blocking the event loop. The user may not be read from the database yet:
    :func:`jwt_auth.revocation.lazy.aload` does that.
    """
    token: AccessToken | None = None
    try:
        token = await access.averify(text, now=now)
        backend = get_backend()
        user = await backend.aget_presented_user(token, text)
        _verify_spelling(user, token, backend)
    except AccessTokenRefused as refused:
        await signals.token_refused.asend_robust(
            sender=AccessToken, reason=refused.reason, token=token, client=client
        )
        raise
    return user, token


def _verify_spelling(
    user: AbstractBaseUser | TokenUser, token: AccessToken, backend: RevocationBackend
) -> None:
    # Databases and model fields accept several spellings: " 2" finds user 2, and a UUID is found in
    # capitals. Only the spelling that we issue is accepted.
    if not backend.maps_users and str(user.pk) != token.subject:
        raise AccessTokenRefused(Refusal.USER_UNKNOWN)
