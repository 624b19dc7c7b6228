"""The ``JWT_AUTH_…`` settings: one typed property per setting, read from Django's at each use.

Nothing is frozen at import, so ``override_settings`` works. The properties only read. The limits
are enforced by :mod:`jwt_auth.checks`, which stop the start if a setting is wrong.
"""

# The checks verify the types. Until they have run, a setting has the type that the project wrote.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from django.conf import settings

PREFIX: Final = "JWT_AUTH_"

#: ``max-age`` of the published JWK Set: for that long, verifiers may not know a new key.
JWKS_MAX_AGE: Final = timedelta(minutes=5)

#: How far two nodes' clocks may differ without one of them missing a key.
CLOCK_DIFFERENCE: Final = timedelta(minutes=1)

ALGORITHMS: Final = ("ES256", "EdDSA", "PS256", "RS256", "HS256")

#: The longest access token lifetime that the checks allow.
MAX_ACCESS_TOKEN_LIFETIME: Final = timedelta(hours=24)

#: The longest lifetime of a one-time token. A key that no longer signs verifies for as long as an
#: access token may live, and a token must not outlive its key (``docs/decisions/0042``).
MAX_ONE_TIME_TOKEN_LIFETIME: Final = MAX_ACCESS_TOKEN_LIFETIME

#: The limits of the lifetimes of refresh tokens and sessions, in the settings and by
#: ``JWT_AUTH_SESSION_LIFETIMES``.
MIN_REFRESH_TOKEN_LIFETIME: Final = timedelta(hours=1)
MAX_LIFETIME: Final = timedelta(days=365)

#: The longest wait between a key's publication and its first signature that the checks allow.
MAX_KEY_PUBLISH_AHEAD: Final = timedelta(days=30)

#: The value of a setting that the project leaves out. The hints of the checks quote it from here.
#: The issuer and the audience are required: an empty one stops the start.
DEFAULTS: Final[dict[str, Any]] = {
    "ISSUER": "",
    "AUDIENCE": "",
    "CLIENT_ID": "web",
    "ALGORITHM": "ES256",
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=15),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=7),
    "SESSION_LIFETIME": timedelta(days=30),
    "SESSION_LIFETIMES": None,
    "CLOCK_LEEWAY": timedelta(0),
    "REFRESH_RETRY_WINDOW": timedelta(seconds=60),
    "REFRESH_REUSE_LEEWAY": timedelta(0),
    "REFRESH_COOKIE_NAME": None,
    "REFRESH_COOKIE_PATH": None,
    "REFRESH_COOKIE_DOMAIN": None,
    "REFRESH_COOKIE_SECURE": True,
    "REFRESH_COOKIE_SAMESITE": "Strict",
    "REFRESH_COOKIE_PARTITIONED": False,
    "ACCESS_COOKIE_NAME": None,
    "KEY_STORE": None,
    "KEY_SIGNER": None,
    "KEY_ROTATION_INTERVAL": timedelta(days=90),
    "KEY_PUBLISH_AHEAD": timedelta(minutes=10),
    "KEY_RELOAD_INTERVAL": timedelta(seconds=60),
    "REVOCATION": {"BACKEND": "jwt_auth.revocation.database.DatabaseRevocation"},
    "DENY_FEED": False,
    "CLAIMS": None,
    "ROLES": None,
    "TENANT": None,
    "JWKS_URL": None,
    "JWKS_MAX_STALENESS": timedelta(hours=24),
    "LOCAL_USER": None,
    "MAX_SESSIONS_PER_USER": None,
    "NEW_DEVICE_HOOK": None,
    "MAIL_DISPATCHER": "jwt_auth.mail.dispatch.in_thread",
    "PASSWORD_RESET_URL": None,
    "PASSWORD_RESET_LIFETIME": timedelta(hours=1),
    "EMAIL_CONFIRMATION_URL": None,
    "EMAIL_CONFIRMATION_LIFETIME": timedelta(hours=24),
    "THROTTLE_RATES": {
        "login_account": "5/min",
        "login_address": "30/min",
        "refresh": "60/min",
        "password_reset": "5/hour",
        "password_reset_address": "30/hour",
        "email_confirmation": "5/hour",
        "mailbox": "10/hour",
        "service_client": "30/min",
    },
}

#: The revocation backend of a project that only verifies tokens and doesn't name one.
NO_REVOCATION: Final[dict[str, Any]] = {"BACKEND": "jwt_auth.revocation.stateless.NoRevocation"}

#: Every setting's full name.
NAMES: Final = frozenset(PREFIX + name for name in DEFAULTS)


class Conf:
    """All ``JWT_AUTH_…`` settings; a property is named like its setting, in lower case."""

    @property
    def issuer(self) -> str:
        """The ``iss`` claim (RFC 7519 §4.1.1). Required."""
        return self._read("ISSUER")

    @property
    def audience(self) -> str | list[str]:
        """The ``aud`` claim (RFC 7519 §4.1.3). Required.

        Tokens are issued with the whole setting. A token is accepted if one audience matches.
        """
        return self._read("AUDIENCE")

    @property
    def audiences(self) -> frozenset[str]:
        """The audience setting as a set, for comparing."""
        audience = self.audience
        return frozenset([audience] if isinstance(audience, str) else audience)

    @property
    def client_id(self) -> str:
        """The ``client_id`` claim, which RFC 9068 §2.2 requires."""
        return self._read("CLIENT_ID")

    @property
    def algorithm(self) -> str:
        """The algorithm of the next key; existing keys keep theirs."""
        return self._read("ALGORITHM")

    @property
    def access_token_lifetime(self) -> timedelta:
        return self._read("ACCESS_TOKEN_LIFETIME")

    @property
    def refresh_token_lifetime(self) -> timedelta:
        """How long a refresh token can be used; each refresh issues one with the full lifetime."""
        return self._read("REFRESH_TOKEN_LIFETIME")

    @property
    def session_lifetime(self) -> timedelta:
        """How long a session lasts at most, however often it is refreshed."""
        return self._read("SESSION_LIFETIME")

    @property
    def session_lifetimes(self) -> str | None:
        """Dotted path of a callable that returns a new session's two lifetimes.

        It takes the user, ``remember_me`` and ``client``. ``None`` means that all sessions have the
        lifetimes of the two settings.
        """
        return self._read("SESSION_LIFETIMES")

    @property
    def clock_leeway(self) -> timedelta:
        return self._read("CLOCK_LEEWAY")

    @property
    def refresh_retry_window(self) -> timedelta:
        """How long a refresh repeated with its ``Idempotency-Key`` gets the same outcome again."""
        return self._read("REFRESH_RETRY_WINDOW")

    @property
    def refresh_reuse_leeway(self) -> timedelta:
        """The same for clients that don't send an ``Idempotency-Key``; zero turns it off."""
        return self._read("REFRESH_REUSE_LEEWAY")

    @property
    def refresh_cookie_name(self) -> str:
        """The cookie's name.

        The default is ``refresh_token`` with the strictest prefix that the cookie's attributes
        allow (RFC 6265bis §4.1.3).
        """
        name: str | None = self._read("REFRESH_COOKIE_NAME")
        return self.prefixed("refresh_token", self.refresh_cookie_path) if name is None else name

    def prefixed(self, name: str, path: str | None) -> str:
        """Give a cookie's name the strictest prefix that its attributes allow."""
        if not self.refresh_cookie_secure:
            return name
        is_host_only = path == "/" and self.refresh_cookie_domain is None
        return f"__Host-{name}" if is_host_only else f"__Secure-{name}"

    @property
    def refresh_cookie_path(self) -> str | None:
        """The cookie's path; ``None`` for the path that the endpoints are mounted at."""
        return self._read("REFRESH_COOKIE_PATH")

    @property
    def refresh_cookie_domain(self) -> str | None:
        return self._read("REFRESH_COOKIE_DOMAIN")

    @property
    def refresh_cookie_secure(self) -> bool:
        return self._read("REFRESH_COOKIE_SECURE")

    @property
    def refresh_cookie_samesite(self) -> str:
        return self._read("REFRESH_COOKIE_SAMESITE")

    @property
    def refresh_cookie_partitioned(self) -> bool:
        """Whether browsers keep a separate cookie for each site that frames the page (CHIPS)."""
        return self._read("REFRESH_COOKIE_PARTITIONED")

    @property
    def access_cookie_name(self) -> str | None:
        """The cookie that an access token is also accepted in; ``None`` turns that off."""
        return self._read("ACCESS_COOKIE_NAME")

    @property
    def key_store(self) -> dict[str, Any]:
        """The place of the key ring; with ``JWT_AUTH_JWKS_URL`` the issuer's key set.

        Only tests set both: with keys in memory, they can sign tokens for a service that verifies.
        """
        return self._read("KEY_STORE") or self._issuers_key_set() or self._default_key_store()

    @property
    def key_signer(self) -> dict[str, Any] | None:
        """The service that signs with private keys that never leave it.

        ``None`` means that the private keys are in the key ring.
        """
        return self._read("KEY_SIGNER")

    @property
    def key_rotation_interval(self) -> timedelta:
        return self._read("KEY_ROTATION_INTERVAL")

    @property
    def key_publish_ahead(self) -> timedelta:
        """How long the next key is published before it signs the first token."""
        return self._read("KEY_PUBLISH_AHEAD")

    @property
    def key_reload_interval(self) -> timedelta:
        """How old a process's copy of the key ring may become before it loads the ring again."""
        return self._read("KEY_RELOAD_INTERVAL")

    @property
    def revocation(self) -> dict[str, Any]:
        """The backend that judges revocations.

        A service that only verifies has no sessions to look at unless its project says where.
        """
        value = self._read("REVOCATION")
        is_default = value is DEFAULTS["REVOCATION"]
        return NO_REVOCATION if is_default and self.jwks_url else value

    @property
    def deny_feed(self) -> bool:
        """Whether revocations are recorded, for ``denials/`` to tell other services."""
        return self._read("DENY_FEED")

    @property
    def claims(self) -> str | None:
        """Dotted path of a callable that takes the user and returns the project's claims."""
        return self._read("CLAIMS")

    @property
    def roles(self) -> str | None:
        """Dotted path of a callable that takes the user and returns the ``roles`` claim.

        ``None`` means the names of the user's groups.
        """
        return self._read("ROLES")

    @property
    def tenant(self) -> str | None:
        """Dotted path of a callable without arguments that names the current tenant.

        ``None`` means that the database and its schema name the tenant.
        """
        return self._read("TENANT")

    @property
    def jwks_url(self) -> str | None:
        """The URL of the issuer's JWK Set, for a service that only verifies tokens.

        Such a service has no private key. ``None`` means that this project issues the tokens.
        """
        return self._read("JWKS_URL")

    @property
    def jwks_max_staleness(self) -> timedelta:
        """How long the issuer's keys are used after they were last loaded."""
        return self._read("JWKS_MAX_STALENESS")

    @property
    def local_user(self) -> str | None:
        """Dotted path of a callable that takes an access token and returns its local user.

        ``None`` means that the user of a verify-only process is made from the claims.
        """
        return self._read("LOCAL_USER")

    @property
    def max_sessions_per_user(self) -> int | None:
        return self._read("MAX_SESSIONS_PER_USER")

    @property
    def mail_dispatcher(self) -> str:
        """Dotted path of a callable that takes a message's kind and arguments, and has it sent."""
        return self._read("MAIL_DISPATCHER")

    @property
    def password_reset_url(self) -> str | None:
        """The page that the mail about a password reset links to, with ``{token}`` in it.

        ``None`` means that this project sends no such mail, and ``password/reset/`` answers 404.
        """
        return self._read("PASSWORD_RESET_URL")

    @property
    def password_reset_lifetime(self) -> timedelta:
        return self._read("PASSWORD_RESET_LIFETIME")

    @property
    def email_confirmation_url(self) -> str | None:
        """The same for the confirmation of an address, and ``email/send-confirmation/``."""
        return self._read("EMAIL_CONFIRMATION_URL")

    @property
    def email_confirmation_lifetime(self) -> timedelta:
        return self._read("EMAIL_CONFIRMATION_LIFETIME")

    @property
    def new_device_hook(self) -> str | None:
        """Dotted path of a callable that is called after a login from a new device.

        It takes the user and the session. ``None`` means that logins aren't compared.
        """
        return self._read("NEW_DEVICE_HOOK")

    @property
    def throttle_rates(self) -> dict[str, str | None]:
        """The rates. A rate that the setting doesn't name keeps its default."""
        return {**DEFAULTS["THROTTLE_RATES"], **self._read("THROTTLE_RATES")}

    @staticmethod
    def _read(name: str) -> Any:
        return getattr(settings, PREFIX + name, DEFAULTS[name])

    def _issuers_key_set(self) -> dict[str, Any] | None:
        if self.jwks_url is None:
            return None
        backend = "jwt_auth.keys.stores.jwks.JWKSKeyStore"
        return {"BACKEND": backend, "OPTIONS": {"URL": self.jwks_url}}

    def _default_key_store(self) -> dict[str, Any]:
        # One folder per issuer, so that two projects of the same operating-system user don't share
        # a key ring.
        data_home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
        folder = re.sub(r"[^A-Za-z0-9.-]+", "_", str(self.issuer)).lstrip(".") or "default"
        return {
            "BACKEND": "jwt_auth.keys.stores.file.FileKeyStore",
            "OPTIONS": {"PATH": str(Path(data_home) / "jwt_auth" / folder)},
        }


conf: Final = Conf()
