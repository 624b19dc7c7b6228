"""The judgement on a request's access token, made once, however many ask for it.

A middleware and a view may both need the user. Without this, a request would put its question to
the revocation backend twice, and a refused token would be in the log twice.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, TypeAlias

from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest
from django.utils.asyncio import async_unsafe

from jwt_auth import flows
from jwt_auth.exceptions import AccessTokenRefused, KeyFailure, RevocationUnknown
from jwt_auth.http.addresses import client_of
from jwt_auth.http.credentials import Credential
from jwt_auth.keys.redaction import anew
from jwt_auth.revocation.token_user import TokenUser
from jwt_auth.tokens.claims import AccessToken
from jwt_auth.users import current_tenant

#: The attribute of a request in which the middleware leaves the judgement for the view.
_ATTRIBUTE: Final = "_jwt_auth_judgement"

Found: TypeAlias = tuple[AbstractBaseUser | TokenUser, AccessToken]
_Outcome: TypeAlias = Found | AccessTokenRefused | KeyFailure | RevocationUnknown


class Judgement:
    """The judgement on one credential of one request; the first question makes it."""

    def __init__(self, request: HttpRequest, credential: Credential) -> None:
        self.credential = credential
        self._client = client_of(request)
        self._outcome: _Outcome | None = None
        #: The tenant in which it was made. A middleware may find out the tenant after the question.
        self._tenant = ""

    def get(self) -> Found:
        """Return the user and the token.

        Raises:
            AccessTokenRefused: with the reason.
            KeyFailure, RevocationUnknown: the token can't be judged at the moment.
            SynchronousOnlyOperation: it isn't made yet, and an event loop would be blocked.
        """
        tenant = current_tenant()
        if self._outcome is None or tenant != self._tenant:
            self._outcome, self._tenant = self._make(), tenant
        return _give(self._outcome)

    async def aget(self) -> Found:
        """Do the same without blocking the event loop."""
        tenant = current_tenant()
        if self._outcome is None or tenant != self._tenant:
            self._outcome, self._tenant = await self._amake(), tenant
        return _give(self._outcome)

    @async_unsafe("In an async view or middleware, use `await request.auser()`.")
    def _make(self) -> _Outcome:
        try:
            return flows.authenticate(
                self.credential.value, client=self._client, now=datetime.now(UTC)
            )
        except (AccessTokenRefused, KeyFailure, RevocationUnknown) as failure:
            return failure

    async def _amake(self) -> _Outcome:
        try:
            return await flows.aauthenticate(
                self.credential.value, client=self._client, now=datetime.now(UTC)
            )
        except (AccessTokenRefused, KeyFailure, RevocationUnknown) as failure:
            return failure


def _give(outcome: _Outcome) -> Found:
    if isinstance(outcome, Exception):
        # A new instance: a traceback must not grow from one question to the next.
        raise anew(outcome)
    return outcome


def find_judgement(request: HttpRequest) -> Judgement | None:
    """Find the judgement that the middleware has left."""
    return getattr(request, _ATTRIBUTE, None)


def leave_judgement(request: HttpRequest, credential: Credential) -> None:
    """Leave a judgement, which isn't made yet, for whatever asks about the user."""
    setattr(request, _ATTRIBUTE, Judgement(request, credential))


def withdraw_judgement(request: HttpRequest) -> None:
    setattr(request, _ATTRIBUTE, None)
