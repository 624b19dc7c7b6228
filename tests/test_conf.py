"""The settings: what each is by default, and that it is read anew at each use."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from jwt_auth.conf import ALGORITHMS, NAMES, conf

#: Every setting that can be left out, and what it is then.
DEFAULTS: dict[str, Any] = {
    "CLIENT_ID": "web",
    "ALGORITHM": "ES256",
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=15),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=7),
    "SESSION_LIFETIME": timedelta(days=30),
    "SESSION_LIFETIMES": None,
    "CLOCK_LEEWAY": timedelta(0),
    "REFRESH_RETRY_WINDOW": timedelta(seconds=60),
    "REFRESH_REUSE_LEEWAY": timedelta(0),
    "REFRESH_COOKIE_NAME": "__Secure-refresh_token",
    "REFRESH_COOKIE_PATH": None,
    "REFRESH_COOKIE_DOMAIN": None,
    "REFRESH_COOKIE_SECURE": True,
    "REFRESH_COOKIE_PARTITIONED": False,
    "REFRESH_COOKIE_SAMESITE": "Strict",
    "ACCESS_COOKIE_NAME": None,
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

#: A row of the documentation: the name, and the default as a duration or in Python.
_ROW = re.compile(
    r"^\| `JWT_AUTH_(\w+)` \| (?:(\d+)(?: (minutes|hours|days|s))?|`(None|True|False|\"\w+\")`)",
    re.MULTILINE,
)
_UNITS = {"minutes": "minutes", "hours": "hours", "days": "days", "s": "seconds", "": "seconds"}


@pytest.mark.parametrize("name", DEFAULTS)
def test_setting_that_is_left_out_has_its_default(name: str, settings: Settings) -> None:
    """A project writes only what it wants otherwise."""
    if hasattr(settings, f"JWT_AUTH_{name}"):
        delattr(settings, f"JWT_AUTH_{name}")
    assert getattr(conf, name.lower()) == DEFAULTS[name]


@pytest.mark.parametrize("name", sorted(DEFAULTS.keys() - {"THROTTLE_RATES"}))
def test_setting_is_read_at_each_use(name: str, settings: Settings) -> None:
    """Nothing is frozen at import, so that ``override_settings`` works."""
    for value in ("one", "two"):
        setattr(settings, f"JWT_AUTH_{name}", value)
        assert getattr(conf, name.lower()) == value


def test_names_are_those_of_the_defaults_and_the_required() -> None:
    """Every setting has a property, and every property is a setting or derived from one."""
    names = {*DEFAULTS, "ISSUER", "AUDIENCE", "KEY_STORE"}
    assert {f"JWT_AUTH_{name}" for name in names} == NAMES


def test_documentation_has_the_defaults() -> None:
    """Each row of the page says what the tests above require."""
    page = Path(__file__).parents[1] / "docs" / "reference" / "settings.md"
    documented: dict[str, Any] = {
        name: eval(value) if value else timedelta(**{_UNITS[unit]: int(number)})
        for name, number, unit, value in _ROW.findall(page.read_text())
    }
    written = DEFAULTS | {"REFRESH_COOKIE_NAME": None}  # the name is derived from other settings
    assert documented == {name: written[name] for name in documented}
    assert len(documented) > 20


def test_algorithm_none_is_none_of_the_algorithms() -> None:
    """There is no setting that lets an unsigned token in."""
    assert ALGORITHMS == ("ES256", "EdDSA", "PS256", "RS256", "HS256")


@pytest.mark.parametrize("name", ["ISSUER", "AUDIENCE"])
def test_required_setting_has_no_default(name: str, settings: Settings) -> None:
    """Empty, so that its check stops the start."""
    delattr(settings, f"JWT_AUTH_{name}")
    assert getattr(conf, name.lower()) == ""


@pytest.mark.parametrize(
    ("audience", "audiences"), [("a", {"a"}), (["a", "b"], {"a", "b"}), (("a",), {"a"})]
)
def test_audiences_are_a_set(audience: Any, audiences: set[str], settings: Settings) -> None:
    """A string is one audience, not its letters."""
    settings.JWT_AUTH_AUDIENCE = audience
    assert conf.audiences == audiences


@pytest.mark.parametrize(
    ("secure", "path", "domain", "name"),
    [
        (True, None, None, "__Secure-refresh_token"),
        (True, "/", None, "__Host-refresh_token"),
        (True, "/", "example.com", "__Secure-refresh_token"),
        (True, "/api/", None, "__Secure-refresh_token"),
        (False, "/", None, "refresh_token"),
        (False, None, None, "refresh_token"),
    ],
)
def test_cookie_has_the_strictest_prefix_it_may_have(
    secure: bool, path: str | None, domain: str | None, name: str, settings: Settings
) -> None:
    """A prefix that the attributes don't allow would have browsers throw the cookie away."""
    settings.JWT_AUTH_REFRESH_COOKIE_SECURE = secure
    settings.JWT_AUTH_REFRESH_COOKIE_PATH = path
    settings.JWT_AUTH_REFRESH_COOKIE_DOMAIN = domain
    assert conf.refresh_cookie_name == name


def test_named_rate_leaves_the_others_on(settings: Settings) -> None:
    """Whoever changes one throttle doesn't turn the others off."""
    settings.JWT_AUTH_THROTTLE_RATES = {"refresh": "1/s"}
    assert conf.throttle_rates == DEFAULTS["THROTTLE_RATES"] | {"refresh": "1/s"}


@pytest.mark.parametrize(
    ("issuer", "folder"),
    [
        ("https://auth.example.test", "https_auth.example.test"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("..", "default"),
        ("", "default"),
        ("ä/ö", "_"),
    ],
)
def test_default_key_store_is_a_folder_of_the_issuer(
    issuer: str, folder: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two projects of one user share no keys, and no issuer leads out of the folder."""
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    settings.JWT_AUTH_ISSUER = issuer
    settings.JWT_AUTH_KEY_STORE = None
    assert conf.key_store == {
        "BACKEND": "jwt_auth.keys.stores.file.FileKeyStore",
        "OPTIONS": {"PATH": f"/data/jwt_auth/{folder}"},
    }


def test_default_key_store_lies_in_the_home_folder(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the desktop's rules say so by default, outside of any code folder."""
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/alice")
    settings.JWT_AUTH_ISSUER = "shop"
    del settings.JWT_AUTH_KEY_STORE
    assert conf.key_store["OPTIONS"]["PATH"] == "/home/alice/.local/share/jwt_auth/shop"


def test_key_store_of_a_service_that_only_verifies_is_the_key_set(settings: Settings) -> None:
    """Keys in memory take its place: tests of the service sign tokens with them."""
    settings.JWT_AUTH_KEY_STORE = None
    settings.JWT_AUTH_JWKS_URL = "https://auth.example.com/.well-known/jwks.json"
    assert conf.key_store == {
        "BACKEND": "jwt_auth.keys.stores.jwks.JWKSKeyStore",
        "OPTIONS": {"URL": settings.JWT_AUTH_JWKS_URL},
    }
    settings.JWT_AUTH_KEY_STORE = {"BACKEND": "jwt_auth.testing.MemoryKeyStore"}
    assert conf.key_store == settings.JWT_AUTH_KEY_STORE
