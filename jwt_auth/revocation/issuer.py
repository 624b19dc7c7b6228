"""Ask the issuer about a token: ``GET verify/`` answers 204 if it is valid, and 401 if it isn't."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Final

from django.views.decorators.debug import sensitive_variables

from jwt_auth.exceptions import AccessTokenRefused, Refusal, RevocationUnknown
from jwt_auth.fetching import Fetched, FetchError, fetch, find_fault, without_secrets
from jwt_auth.keys.bounded_call import BoundedExecutor, StillWaiting

#: How many requests of one process wait for the issuer at the same time. Without a limit, all of a
#: service's requests would reach the issuer at once when Redis fails.
_PLACES: Final = 16

#: Bytes of an answer. Nothing in it is read.
_LIMIT: Final = 65_536


class Issuer:
    """The issuer's ``verify/`` at ``url``, which has ``timeout`` seconds to answer."""

    def __init__(self, url: str, *, timeout: float) -> None:
        self._url = url
        #: For messages.
        self._name = without_secrets(url)
        self._timeout = timeout
        self._executor = BoundedExecutor(_PLACES, name="jwt_auth-issuer")

    @sensitive_variables()
    def require_good(self, text: str) -> None:
        """Have the issuer judge the access token with this text.

        Raises:
            AccessTokenRefused: the issuer refuses it.
            RevocationUnknown: there is no answer in time, or one that says neither.
        """
        answer = self._ask({"Authorization": f"Bearer {text}"})
        if answer.status == HTTPStatus.NO_CONTENT:
            return
        if _refuses(answer):
            raise AccessTokenRefused(Refusal.REFUSED_BY_ISSUER)
        raise RevocationUnknown(f"{self._name} answered {answer.status} instead of 204 or 401.")

    def find_fault(self) -> str:
        """Say why this can't be the address of a ``verify/``, or return an empty text."""
        return find_fault(self._url)

    def find_failure(self) -> str:
        """Ask without a token, which has to be refused, and say what is wrong with the answer."""
        try:
            status = self._ask({}).status
        except RevocationUnknown as unknown:
            return str(unknown)
        expected = status == HTTPStatus.UNAUTHORIZED
        return "" if expected else f"{self._name} answered {status} to a request without a token."

    @sensitive_variables()
    def _ask(self, headers: dict[str, str]) -> Fetched:
        ask = partial(fetch, self._url, headers=headers, timeout=self._timeout, limit=_LIMIT)
        try:
            # The lookup of the host's name has no time-out, so the call runs on another thread.
            return self._executor.call(ask, seconds=self._timeout)
        except FetchError as failed:
            raise RevocationUnknown(str(failed)) from None
        except (TimeoutError, StillWaiting, RuntimeError):
            raise RevocationUnknown(
                f"{self._name} has not answered within {self._timeout:g} seconds."
            ) from None


def _refuses(answer: Fetched) -> bool:
    # A 401 for a request without a token has no error code (RFC 6750 §3.1). Then a proxy has
    # dropped the header, or answers by itself, and nothing is known about the token.
    challenge = answer.headers.get("WWW-Authenticate", "")
    return answer.status == HTTPStatus.UNAUTHORIZED and 'error="invalid_token"' in challenge
