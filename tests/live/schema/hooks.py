"""What Schemathesis must know to get past a 401: a user, live tokens, and a service client.

Schemathesis loads this module in its own process; the environment says what to attack. Every other
request that fits the schema gets something live: a session, a token, a right password. The rest
shows what the endpoints refuse. Each request is logged as a line: operation, status, kind.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import django
import requests
import schemathesis

django.setup()

# After django.setup(), which models need.
from django.contrib.auth import get_user_model  # noqa: E402

from jwt_auth import flows  # noqa: E402
from jwt_auth.conf import conf  # noqa: E402
from jwt_auth.models import Client  # noqa: E402

USERNAME, PASSWORD = os.environ["FUZZED_USER"], os.environ["FUZZED_PASSWORD"]
SERVICE = (os.environ["FUZZED_CLIENT_ID"], os.environ["FUZZED_CLIENT_SECRET"])
LOG = Path(os.environ["FUZZED_LOG"])

#: After one of these, the user's sessions are over.
_ENDING = ("logout", "password_change", "password_reset_confirm", "revoke", "session_end")
_CLIENT = Client(ip_address="127.0.0.1", user_agent="the attack")
_cases = count()


class User:
    """The user whose requests these are, with the password of the moment."""

    def __init__(self) -> None:
        self.password = PASSWORD
        self.passwords = (f"{PASSWORD} {number}" for number in count(1))
        self.is_logged_in = False
        #: Every token that was taken; the last one is good.
        self.tokens: dict[str, None] = {}

    def log_in(self) -> flows.Issued:
        """Open another session. Not by a request, which the throttles may refuse."""
        user = get_user_model().objects.get(username=USERNAME)
        return flows.log_in(user, client=_CLIENT, now=datetime.now(UTC))

    @property
    def token(self) -> str:
        """An access token that is good now."""
        if not self.is_logged_in:
            self.tokens[self.log_in().access_token.text] = None
            self.is_logged_in = True
        return next(reversed(self.tokens))

    def session_id(self) -> str:
        """A live session's id, which is not the one of `token`."""
        return str(self.log_in().family.pk)

    def one_time_token(self, purpose: str) -> str:
        """What a mail would contain."""
        user = get_user_model().objects.get(username=USERNAME)
        now = datetime.now(UTC)
        return flows.issue_one_time_token(
            user, purpose=purpose, lifetime=timedelta(hours=1), now=now
        )


user = User()


@schemathesis.auth(refresh_interval=None)
class Credentials:
    """For each operation what its first security requirement names."""

    def get(self, case: Any, context: Any) -> Callable[[Any], None] | None:
        """Say how to authenticate the request."""
        schemes = {name for each in case.operation.definition.raw["security"] for name in each}
        if "serviceClient" in schemes:
            return _set_basic
        if "refreshCookie" in schemes:
            return _set_refresh_cookie
        return _set_bearer if "bearerToken" in schemes else None

    def set(self, case: Any, data: Callable[[Any], None], context: Any) -> None:
        """Authenticate it."""
        data(case)


def _set_bearer(case: Any) -> None:
    case.headers["Authorization"] = f"Bearer {user.token}"


def _set_basic(case: Any) -> None:
    case.headers["Authorization"] = requests.auth._basic_auth_str(*SERVICE)


def _set_refresh_cookie(case: Any) -> None:
    case.cookies[conf.refresh_cookie_name] = user.log_in().refresh_token.text


def _new_password() -> dict[str, str]:
    user.password, old = next(user.passwords), user.password
    return {"old_password": old, "new_password": user.password}


def _reset() -> dict[str, str]:
    user.password = next(user.passwords)
    return {"token": user.one_time_token("password_reset"), "new_password": user.password}


#: What a good request has in its body.
_BODIES: dict[str, Callable[[], dict[str, str]]] = {
    "login": lambda: {"username": USERNAME, "password": user.password},
    "refresh": lambda: {"refresh_token": user.log_in().refresh_token.text},
    "logout": lambda: {"refresh_token": user.log_in().refresh_token.text},
    "password_change": _new_password,
    "password_reset": lambda: {"email": f"{USERNAME}@example.test"},
    "password_reset_confirm": _reset,
    "email_confirm": lambda: {"token": user.one_time_token("email_confirmation")},
    "introspect": lambda: {"token": user.log_in().access_token.text},
    "revoke": lambda: {"token": user.log_in().access_token.text},
}


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Give every other good request something live."""
    # It may have got a token that another request has ended since.
    if case.headers.get("Authorization", "").removeprefix("Bearer ") in user.tokens:
        _set_bearer(case)
    if not _is_positive(case) or next(_cases) % 2:
        return
    name = _name(case)
    if name == "session_end":
        case.path_parameters = {"session_id": user.session_id()}
    if name in _BODIES and isinstance(case.body, dict):
        case.body = {**case.body, **_BODIES[name]()}


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Log the request; log in again if its session is over."""
    if response.status_code == 401 or _name(case).startswith(_ENDING):
        user.is_logged_in = False
    kind = "positive" if _is_positive(case) else "negative"
    with LOG.open("a") as log:
        log.write(f"{_id(case)} {response.status_code} {kind}\n")


def _id(case: Any) -> str:
    return str(case.operation.definition.raw.get("operationId", case.operation.label))


def _name(case: Any) -> str:
    return _id(case).removeprefix("auth_").removeprefix("body_")


def _is_positive(case: Any) -> bool:
    return case.meta is not None and case.meta.generation.mode.is_positive
