"""Revocation for a service that shares neither database nor Redis with the issuer.

It reads ``denials/`` of the issuer every few seconds (:mod:`jwt_auth.revocation.polled_denials`).
If that can't be read for longer than ``MAX_STALENESS``, no token is accepted.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from http import HTTPStatus
from time import time
from typing import Any, Final
from urllib.parse import quote_plus

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.checks import CheckMessage
from django.views.decorators.debug import sensitive_variables

from jwt_auth.check_messages import error, warning
from jwt_auth.conf import CLOCK_DIFFERENCE, conf
from jwt_auth.exceptions import AccessTokenRefused, RevocationUnknown
from jwt_auth.fetching import FetchError, fetch, find_fault, without_secrets
from jwt_auth.revocation.base import RevocationBackend
from jwt_auth.revocation.denials import Denials, parse
from jwt_auth.revocation.polled_denials import PolledDenials
from jwt_auth.revocation.token_user import TokenUser, user_of
from jwt_auth.tokens.claims import AccessToken

#: Seconds that one fetch may take.
_TIMEOUT: Final = 5.0

#: Bytes of an answer. The issuer's longest one, of 50,000 denials, has about 3 million.
_LIMIT: Final = 16 * 1024 * 1024

#: Seconds.
_LEAST_INTERVAL: Final = 1

#: Seconds: an access token lives no longer by default, so older denials would protect nothing.
_MOST_STALENESS: Final = 900

#: What to do about a status that has a usual reason.
_ADVICE: Final = {
    401: " Check CLIENT_ID and CLIENT_SECRET.",
    404: " Check URL, and that the issuer has JWT_AUTH_DENY_FEED = True.",
}


class DenyFeed(RevocationBackend):
    """Refuses what the issuer's deny feed names, and makes the user from the claims.

    Options: ``URL`` of the issuer's ``denials/``; ``CLIENT_ID`` and ``CLIENT_SECRET`` of a service
    client there; ``INTERVAL`` between two fetches, and ``MAX_STALENESS``, the age at which the last
    answer is no longer used, both in seconds.
    """

    maps_users = True

    def __init__(
        self,
        URL: str,  # noqa: N803  options are written as Django writes them
        CLIENT_ID: str,  # noqa: N803
        CLIENT_SECRET: str,  # noqa: N803
        INTERVAL: float = 5,  # noqa: N803
        MAX_STALENESS: float = 60,  # noqa: N803
    ) -> None:
        self._url = URL
        self._credentials = (CLIENT_ID, CLIENT_SECRET)
        self._interval, self._max_staleness = INTERVAL, MAX_STALENESS
        self._denials = PolledDenials(self._fetch, interval=INTERVAL, max_staleness=MAX_STALENESS)

    def get_user(self, token: AccessToken) -> AbstractBaseUser | TokenUser:
        """Return the token's user, unless the issuer has denied the token.

        Raises:
            AccessTokenRefused: with the reason.
            RevocationUnknown: the issuer has not answered for too long.
        """
        leeway = conf.clock_leeway.total_seconds()
        refusal = self._denials.get().find_refusal(token, now=time() - leeway)
        if refusal is not None:
            raise AccessTokenRefused(refusal)
        return user_of(token)

    @sensitive_variables()
    def _fetch(self) -> Denials:
        credentials = ":".join(map(quote_plus, self._credentials))  # RFC 6749 §2.3.1
        encoded = base64.b64encode(credentials.encode()).decode()
        headers = {"Authorization": f"Basic {encoded}", "Accept": "application/json"}
        try:
            answer = fetch(self._url, headers=headers, timeout=_TIMEOUT, limit=_LIMIT)
        except FetchError as failed:
            raise RevocationUnknown(str(failed)) from None
        if answer.status != HTTPStatus.OK:
            advice = _ADVICE.get(answer.status, "")
            raise self._unavailable(f"it answered {answer.status}", advice)
        try:
            denials = parse(answer.body)
        except ValueError as unreadable:
            raise self._unavailable(str(unreadable)) from None
        if time() - denials.as_of > self._max_staleness + CLOCK_DIFFERENCE.total_seconds():
            raise self._unavailable("its answer is old: a cache is in between, or a clock is wrong")
        return denials

    def _unavailable(self, reason: str, advice: str = "") -> RevocationUnknown:
        address = without_secrets(self._url)
        return RevocationUnknown(f"The deny feed {address} can't be read: {reason}.{advice}")

    # ---- Checks

    def check(self) -> list[CheckMessage]:
        return list(self._check_options())

    def _check_options(self) -> Iterator[CheckMessage]:
        if fault := find_fault(self._url):
            yield error(
                "E095",
                f"JWT_AUTH_REVOCATION: the URL of the deny feed {fault}.",
                'Write "URL": "https://auth.example.com/api/auth/denials/" in its OPTIONS',
            )
        if not all(_is_text(each) for each in self._credentials):
            yield error(
                "E096",
                "JWT_AUTH_REVOCATION: CLIENT_ID and CLIENT_SECRET must be strings that are not "
                "empty.",
                "Run `manage.py create_service_client` at the issuer, and write what it prints.",
            )
        if not _are_times(self._interval, self._max_staleness):
            yield error(
                "E097",
                "JWT_AUTH_REVOCATION: INTERVAL and MAX_STALENESS must be numbers of seconds. "
                f"INTERVAL is at least {_LEAST_INTERVAL}. MAX_STALENESS is at least twice as long, "
                f"and at most {_MOST_STALENESS}.",
                'Write "INTERVAL": 5, "MAX_STALENESS": 60 in its OPTIONS',
            )
        if conf.jwks_url is None:
            yield warning(
                "W095",
                "JWT_AUTH_REVOCATION is a deny feed, but JWT_AUTH_JWKS_URL is not set: this "
                "project issues tokens, and its own database knows what is revoked.",
                "Set JWT_AUTH_JWKS_URL to the issuer's key set, or leave JWT_AUTH_REVOCATION out.",
            )

    def check_server(self) -> list[CheckMessage]:
        try:
            self._fetch()
        except RevocationUnknown as unavailable:
            hint = "Until it can be read, requests with an access token are answered 503."
            return [warning("W096", str(unavailable), hint)]
        return []


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _are_times(interval: Any, max_staleness: Any) -> bool:
    numbers = all(type(each) in (int, float) for each in (interval, max_staleness))
    return numbers and _LEAST_INTERVAL <= interval <= max_staleness / 2 <= _MOST_STALENESS / 2
