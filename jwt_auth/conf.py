"""The settings: one object, one typed property each, read from Django's settings at every use.

Nothing is frozen at import, so ``override_settings`` works. Limits are enforced by
:mod:`jwt_auth.checks`, which stop the start; the properties here only read.
"""

# The checks see to the types; until they have run, a setting is whatever the project wrote.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from django.conf import settings

PREFIX: Final = "JWT_AUTH_"

#: ``max-age`` of the published JWK Set, and so the time that verifiers may go on without a new key.
JWKS_MAX_AGE: Final = timedelta(minutes=5)

#: How far the clocks of two nodes may be apart without a key being missed.
CLOCK_DIFFERENCE: Final = timedelta(minutes=1)

ALGORITHMS: Final = ("ES256", "EdDSA", "PS256", "RS256", "HS256")

#: The longest lifetime that the checks let an access token have.
MAX_ACCESS_TOKEN_LIFETIME: Final = timedelta(hours=24)

#: The longest time that the checks let a key wait before it signs.
MAX_KEY_PUBLISH_AHEAD: Final = timedelta(days=30)

THROTTLE_RATES: Final = {
    "login_account": "5/min",
    "login_address": "30/min",
    "refresh": "60/min",
    "password_reset": "5/hour",
}


class Conf:
    """All ``JWT_AUTH_…`` settings; the property's name is the setting's, in lower case."""

    @property
    def issuer(self) -> str:
        """The ``iss`` claim (RFC 7519 §4.1.1). Required."""
        return self._read("ISSUER", "")

    @property
    def audience(self) -> str | list[str]:
        """The ``aud`` claim (RFC 7519 §4.1.3): issued as it stands, accepted where one matches.
        Required.
        """
        return self._read("AUDIENCE", "")

    @property
    def audiences(self) -> frozenset[str]:
        """The audience setting as a set, for comparing."""
        audience = self.audience
        return frozenset([audience] if isinstance(audience, str) else audience)

    @property
    def client_id(self) -> str:
        """The ``client_id`` claim that RFC 9068 §2.2 asks for."""
        return self._read("CLIENT_ID", "web")

    @property
    def algorithm(self) -> str:
        """The algorithm of the next key that is made; a key keeps its own for life."""
        return self._read("ALGORITHM", "ES256")

    @property
    def access_token_lifetime(self) -> timedelta:
        return self._read("ACCESS_TOKEN_LIFETIME", timedelta(minutes=15))

    @property
    def refresh_token_lifetime(self) -> timedelta:
        """How long a refresh token waits for its use; each use starts it anew."""
        return self._read("REFRESH_TOKEN_LIFETIME", timedelta(days=7))

    @property
    def session_lifetime(self) -> timedelta:
        """How long a session lasts however often it is refreshed."""
        return self._read("SESSION_LIFETIME", timedelta(days=30))

    @property
    def clock_leeway(self) -> timedelta:
        return self._read("CLOCK_LEEWAY", timedelta(0))

    @property
    def refresh_retry_window(self) -> timedelta:
        """How long a request with the same ``Idempotency-Key`` gets the same outcome again."""
        return self._read("REFRESH_RETRY_WINDOW", timedelta(seconds=60))

    @property
    def refresh_reuse_leeway(self) -> timedelta:
        """The same for clients that send no key; zero turns it off."""
        return self._read("REFRESH_REUSE_LEEWAY", timedelta(0))

    @property
    def refresh_cookie_name(self) -> str:
        """The setting, else ``refresh_token`` with the strictest prefix its attributes allow (RFC
        6265bis §4.1.3).
        """
        name: str | None = self._read("REFRESH_COOKIE_NAME", None)
        if name is not None:
            return name
        if not self.refresh_cookie_secure:
            return "refresh_token"
        if self.refresh_cookie_path == "/" and self.refresh_cookie_domain is None:
            return "__Host-refresh_token"
        return "__Secure-refresh_token"

    @property
    def refresh_cookie_path(self) -> str | None:
        """``None``: the path that the endpoints are mounted at."""
        return self._read("REFRESH_COOKIE_PATH", None)

    @property
    def refresh_cookie_domain(self) -> str | None:
        return self._read("REFRESH_COOKIE_DOMAIN", None)

    @property
    def refresh_cookie_secure(self) -> bool:
        return self._read("REFRESH_COOKIE_SECURE", True)

    @property
    def refresh_cookie_samesite(self) -> str:
        return self._read("REFRESH_COOKIE_SAMESITE", "Strict")

    @property
    def refresh_cookie_partitioned(self) -> bool:
        """Whether browsers keep a cookie for each site that frames the page (CHIPS)."""
        return self._read("REFRESH_COOKIE_PARTITIONED", False)

    @property
    def access_cookie_name(self) -> str | None:
        """The cookie that an access token may come in; ``None`` turns that off."""
        return self._read("ACCESS_COOKIE_NAME", None)

    @property
    def key_store(self) -> dict[str, Any]:
        return self._read("KEY_STORE", None) or self._default_key_store()

    @property
    def key_signer(self) -> dict[str, Any] | None:
        """What holds the private keys and signs with them; ``None``: they are in the ring."""
        return self._read("KEY_SIGNER", None)

    @property
    def key_rotation_interval(self) -> timedelta:
        return self._read("KEY_ROTATION_INTERVAL", timedelta(days=90))

    @property
    def key_publish_ahead(self) -> timedelta:
        """How long the next key is published before it signs."""
        return self._read("KEY_PUBLISH_AHEAD", timedelta(minutes=10))

    @property
    def key_reload_interval(self) -> timedelta:
        """How old a process lets its copy of the ring become."""
        return self._read("KEY_RELOAD_INTERVAL", timedelta(seconds=60))

    @property
    def revocation(self) -> dict[str, Any]:
        return self._read(
            "REVOCATION", {"BACKEND": "jwt_auth.revocation.database.DatabaseRevocation"}
        )

    @property
    def claims(self) -> str | None:
        """Dotted path of a callable of the user that gives the project's own claims."""
        return self._read("CLAIMS", None)

    @property
    def roles(self) -> str | None:
        """Dotted path of a callable of the user that gives the ``roles``; ``None``: the names of
        the groups.
        """
        return self._read("ROLES", None)

    @property
    def tenant(self) -> str | None:
        """Dotted path of a callable without arguments that names the tenant of the moment;
        ``None``: its database and schema.
        """
        return self._read("TENANT", None)

    @property
    def jwks_url(self) -> str | None:
        """Where a verify-only install gets its keys; it then has no private key."""
        return self._read("JWKS_URL", None)

    @property
    def max_sessions_per_user(self) -> int | None:
        return self._read("MAX_SESSIONS_PER_USER", None)

    @property
    def throttle_rates(self) -> dict[str, str | None]:
        """The setting laid over the defaults, so that naming one rate keeps the others on."""
        return THROTTLE_RATES | self._read("THROTTLE_RATES", {})

    @staticmethod
    def _read(name: str, default: Any) -> Any:
        return getattr(settings, PREFIX + name, default)

    def _default_key_store(self) -> dict[str, Any]:
        # A ring belongs to an issuer, so that two projects of one operating-system user never share
        # keys.
        data_home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
        folder = re.sub(r"[^A-Za-z0-9.-]+", "_", str(self.issuer)).lstrip(".") or "default"
        return {
            "BACKEND": "jwt_auth.keys.stores.file.FileKeyStore",
            "OPTIONS": {"PATH": str(Path(data_home) / "jwt_auth" / folder)},
        }


#: Properties that are derived from settings and are none themselves.
_DERIVED: Final = frozenset({"audiences"})

#: Every setting's full name.
NAMES: Final = frozenset(
    PREFIX + name.upper()
    for name, value in vars(Conf).items()
    if isinstance(value, property) and name not in _DERIVED
)

conf: Final = Conf()
