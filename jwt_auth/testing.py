"""Keys in memory, and a session for a user in one line, for a project's tests.

The sessions are real ones, so that revocation, logout and permissions work as for a client. The
functions need a key store. A test case has one in memory by :class:`JWTAuthMixin`, a test of pytest
by :mod:`jwt_auth.contrib.pytest`, and settings for tests by naming :class:`MemoryKeyStore`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.checks import CheckMessage
from django.core.signals import setting_changed
from django.test import Client, SimpleTestCase, override_settings
from rest_framework.test import APIClient

from jwt_auth import flows
from jwt_auth.check_messages import FILE_STORE, error, setting_line
from jwt_auth.conf import DEFAULTS, NO_REVOCATION, conf
from jwt_auth.exceptions import KeyRingConflict, KeyRingExists, LogInRefused
from jwt_auth.flows import Issued
from jwt_auth.keys import cache, jwk
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores.base import KeyStore
from jwt_auth.models import Client as Origin
from jwt_auth.revocation.base import keeps_sessions
from jwt_auth.startup import this_process
from jwt_auth.tokens import access
from jwt_auth.users import key_of

__all__ = [
    "JWTAuthMixin",
    "MemoryKeyStore",
    "access_token_for",
    "api_client_for",
    "issue_access_token",
]

#: Messages are sent at once, so that a test finds them in ``mail.outbox``. The throttles are off
#: because they count across tests: a sixth login of the same user within a minute would be refused.
SETTINGS: Final[dict[str, Any]] = {
    "JWT_AUTH_KEY_STORE": {"BACKEND": "jwt_auth.testing.MemoryKeyStore"},
    "JWT_AUTH_KEY_SIGNER": None,
    "JWT_AUTH_MAIL_DISPATCHER": "jwt_auth.mail.dispatch.at_once",
    "JWT_AUTH_THROTTLE_RATES": dict.fromkeys(DEFAULTS["THROTTLE_RATES"]),
}

#: Each ring by its algorithm and the version that it has replaced, ``None`` for the first one. Not
#: in the store, because a forked worker builds another store.
_rings: Final[dict[tuple[str, int | None], KeyRing]] = {}


class MemoryKeyStore(KeyStore):
    """Makes a ring of one key at its first use in each process, and keeps it in memory.

    The key is one of ``JWT_AUTH_ALGORITHM``; for another algorithm there is another ring. It was
    activated in 1970, so that it signs and verifies whatever time a test sets.
    """

    def describe(self) -> str:
        return "the memory of the tests"

    def stamp(self) -> object | None:
        ring = _find_ring()
        return None if ring is None else (conf.algorithm, ring.version)

    def load(self) -> KeyRing:
        # Two threads may make a ring at the same time. Both get the one that was added first.
        found = _find_ring()
        if found is not None:
            return found
        made = KeyRing.of_unknown_age(jwk.generate(conf.algorithm))
        return _rings.setdefault((conf.algorithm, None), made)

    def save(self, ring: KeyRing, *, expected_version: int | None) -> None:
        current = _find_ring()
        version = None if current is None else current.version
        is_expected = version == expected_version
        if is_expected and _rings.setdefault((conf.algorithm, version), ring) is ring:
            return
        raise KeyRingExists if expected_version is None else KeyRingConflict

    def check(self) -> list[CheckMessage]:
        # Tests run by a command or a script.
        return [_for_tests_only()] if this_process().command == "server" else []

    def check_server(self) -> list[CheckMessage]:
        return [_for_tests_only()]


def _find_ring() -> KeyRing | None:
    ring = _rings.get((conf.algorithm, None))
    while ring is not None and (newer := _rings.get((conf.algorithm, ring.version))) is not None:
        ring = newer
    return ring


def _for_tests_only() -> CheckMessage:
    return error(
        "E078",
        "JWT_AUTH_KEY_STORE: MemoryKeyStore is for tests only. Each process of a server would sign"
        " with a different key, and refuse the tokens of the others.",
        setting_line("KEY_STORE", FILE_STORE),
    )


def settings_for_tests() -> dict[str, Any]:
    """Return the settings that a project's tests override, so that they ask no other service."""
    return SETTINGS if keeps_sessions() else {**SETTINGS, "JWT_AUTH_REVOCATION": NO_REVOCATION}


def put_first_keys_back() -> None:
    """Undo what the commands of a test have done to the keys."""
    saved = [key for key in _rings if key[1] is not None]
    for key in saved:
        del _rings[key]
    if saved:
        cache.reset()


def access_token_for(user: AbstractBaseUser, *, claims: Mapping[str, Any] | None = None) -> str:
    """Open a session for a user, and return its access token.

    ``claims`` are those of the session, as :func:`jwt_auth.flows.log_in` takes them.

    Raises:
        ClaimsInvalid: the claims can't be put into a token.
        ValueError: the user is not saved, is inactive, or has another password by now.
        TypeError: ``user`` is not an instance of ``AUTH_USER_MODEL``.
    """
    return _open_session(user, claims).access_token.text


def issue_access_token(subject: str, *, roles: Sequence[str] = (), **claims: Any) -> str:
    """Sign an access token as the issuer does, in a test of a service that only verifies tokens.

    ``subject`` is the user's key at the issuer; ``claims`` are the issuer's own, and ``amr`` and
    ``auth_time``. There is no session, so a service that looks for sessions in its database refuses
    the token.

    Raises:
        ClaimsInvalid: a claim takes a reserved name, or can't be written as JSON.
    """
    now = datetime.now(UTC)
    issued = access.issue(
        subject=subject,
        session_id=uuid4(),
        token_version=0,
        roles=roles,
        auth_time=claims.pop("auth_time", int(now.timestamp())),
        amr=claims.pop("amr", None),
        own_claims=claims,
        expires_at=now + conf.access_token_lifetime,
        now=now,
    )
    return issued.text


def api_client_for(user: AbstractBaseUser, *, claims: Mapping[str, Any] | None = None) -> APIClient:
    """Open a session for a user, and return a client that sends its access token.

    The client also has the session's refresh cookie, as a browser would.

    Raises:
        ClaimsInvalid, ValueError, TypeError: as :func:`access_token_for`.
    """
    client = APIClient()
    _authenticate(client, user, claims)
    return client


class JWTAuthMixin(SimpleTestCase):
    """Gives a test case keys in memory, turns the throttles off, and logs its client in.

    It comes before the test case: ``class ReportTests(JWTAuthMixin, APITestCase)``.
    """

    @classmethod
    def setUpClass(cls) -> None:
        cls.enterClassContext(override_settings(**settings_for_tests()))
        super().setUpClass()

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(put_first_keys_back)

    def log_in(self, user: AbstractBaseUser, *, claims: Mapping[str, Any] | None = None) -> None:
        """Open a session for a user. From now on, ``self.client`` sends its access token.

        Raises:
            ClaimsInvalid, ValueError, TypeError: as :func:`access_token_for`.
        """
        _authenticate(self.client, user, claims)


def _authenticate(client: Client, user: AbstractBaseUser, claims: Mapping[str, Any] | None) -> None:
    issued = _open_session(user, claims)
    header = f"Bearer {issued.access_token.text}"
    if isinstance(client, APIClient):
        client.credentials(HTTP_AUTHORIZATION=header)
    else:
        client.defaults["HTTP_AUTHORIZATION"] = header
    client.cookies[conf.refresh_cookie_name] = issued.refresh_token.text


def _open_session(user: AbstractBaseUser, claims: Mapping[str, Any] | None) -> Issued:
    origin = Origin(ip_address=None, user_agent="")
    try:
        return flows.log_in(user, client=origin, now=datetime.now(UTC), claims=claims)
    except LogInRefused:
        raise ValueError(_why_refused(user)) from None


def _why_refused(user: AbstractBaseUser) -> str:
    current = get_user_model()._default_manager.filter(pk=key_of(user)).first()
    if current is None:
        return "The user is not in the database: save the user first."
    if not current.is_active:
        return "The user is inactive: an inactive user can't have a session."
    return "The user's password was changed after this instance was read: read the user again."


def _reset_on_change(*, setting: str, **kwargs: Any) -> None:
    if setting == "JWT_AUTH_ALGORITHM":
        cache.reset()  # the cached ring is the one of the former algorithm


setting_changed.connect(_reset_on_change, dispatch_uid="jwt_auth.testing")
