"""Settings that work but are unwise in production."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.checks import CheckMessage
from django.core.management import call_command
from pytest_django import Settings

from jwt_auth.checks.deployment import check_deployment
from jwt_auth.checks.settings import check_settings
from jwt_auth.encoding import base64url_encode
from tests.checks.scene import advice_of, change_key, ids_of
from tests.keys.issuer import Issuer
from tests.keys.remote.service import Answer
from tests.mail.servers import use_server

pytestmark = pytest.mark.smoke

REDIS_CACHE = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://x"}


@pytest.fixture(autouse=True)
def _production(settings: Settings) -> None:
    """Give good settings for production; each test makes one of them unwise."""
    settings.DEBUG = False
    settings.SECURE_SSL_REDIRECT = True
    settings.CACHES = {"default": REDIS_CACHE}
    settings.DEFAULT_FROM_EMAIL = "accounts@example.com"
    del settings.JWT_AUTH_MAIL_DISPATCHER
    use_server(settings, 25)


def _only() -> CheckMessage:
    (message,) = check_deployment(None)
    assert str(message.hint).startswith(("Write ", "Run "))
    return message


def test_wise_settings_have_no_message() -> None:
    """So each warning below comes from one change."""
    assert check_deployment(None) == []


def test_debug_is_warned_of(settings: Settings) -> None:
    """Its error pages show strangers code and settings."""
    settings.DEBUG = True
    assert _only().id == "jwt_auth.W014"


def test_plain_http_is_warned_of(settings: Settings) -> None:
    """An attacker who reads a bearer token on the network can use it; a TLS proxy prevents that."""
    settings.SECURE_SSL_REDIRECT = False
    assert _only().id == "jwt_auth.W010"
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert check_deployment(None) == []


def test_refresh_cookie_over_plain_http_is_warned_of(settings: Settings) -> None:
    """The setting is for a developer's machine."""
    settings.JWT_AUTH_REFRESH_COOKIE_SECURE = False
    message = _only()
    assert message.id == "jwt_auth.W011"
    assert advice_of(message) == "Write JWT_AUTH_REFRESH_COOKIE_SECURE = True"


@pytest.mark.parametrize(
    ("backend", "reason"),
    [
        ("locmem.LocMemCache", "separate in each process"),
        ("dummy.DummyCache", "stores nothing"),
        ("db.DatabaseCache", "simultaneous"),
        ("filebased.FileBasedCache", "simultaneous"),
    ],
)
def test_cache_that_loses_count_is_warned_of(backend: str, reason: str, settings: Settings) -> None:
    """With four workers an attacker has four times the attempts; in a burst, all of them pass."""
    settings.CACHES = {"default": {"BACKEND": f"django.core.cache.backends.{backend}"}}
    message = _only()
    assert (message.id, reason in message.msg) == ("jwt_auth.W016", True)


def test_missing_keys_are_an_error(no_ring: Path) -> None:
    """Before a deployment there must be keys: ``check --deploy`` fails without."""
    (message,) = check_deployment(None)
    assert message.id == "jwt_auth.E030"
    assert message.is_serious()


def test_keys_in_the_code_folder_are_warned_of(ring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image or an archive of the code would have them."""
    project = ring.parents[1]
    monkeypatch.setattr("tests.__file__", str(project / "tests" / "__init__.py"))
    message = _only()
    assert message.id == "jwt_auth.W012"
    assert str(ring) in message.msg


def test_code_folder_of_a_single_settings_file_is_its_own(
    ring: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code is in /srv/site next to settings.py, not in all of /srv."""
    folder = ring.parents[1]
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "string")  # any module that is not a package
    monkeypatch.setattr("string.__file__", str(folder / "site" / "settings.py"))
    assert check_deployment(None) == []
    monkeypatch.setattr("string.__file__", str(folder / "settings.py"))
    assert _only().id == "jwt_auth.W012"


@pytest.mark.parametrize("name", ["", "no_such_module", "sys"])
def test_unknown_code_folder_is_no_warning(
    name: str, ring: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After ``settings.configure()`` no module says where the code is."""
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", name)
    assert check_deployment(None) == []


def test_key_that_is_due_is_warned_of(ring: Path) -> None:
    """Apparently rotate_keys does not run."""
    former = (datetime.now(UTC) - timedelta(days=90, minutes=1)).isoformat()
    change_key(ring, lambda key: key.update(created_at=former, activates_at=former))
    message = _only()
    assert message.id == "jwt_auth.W013"
    call_command("rotate_keys", verbosity=0)
    assert check_deployment(None) == []  # the next key waits, so rotate_keys does run
    assert "rotate_keys" in str(message.hint)


@pytest.mark.parametrize("is_fallback", [False, True])
def test_jwt_secret_equal_to_secret_key_is_warned_of(
    is_fallback: bool, settings: Settings, no_ring: Path
) -> None:
    """A service that may verify tokens could sign session cookies."""
    secret = "a secret of more than 32 bytes, used twice"
    settings.SECRET_KEY_FALLBACKS = [secret] if is_fallback else []
    if not is_fallback:
        settings.SECRET_KEY = secret
    call_command("generate_keys", algorithm="HS256", verbosity=0)
    assert check_deployment(None) == []
    change_key(no_ring, lambda key: key["jwk"].update(k=base64url_encode(secret.encode())))
    assert _only().id == "jwt_auth.W015"


def test_endpoint_that_refuses_a_stale_header_is_warned_of(settings: Settings) -> None:
    """Otherwise a client with an expired token can't log in any more."""
    settings.ROOT_URLCONF = "tests.checks.urls"
    messages = check_deployment(None)
    assert ids_of(messages) == ["W017", "W017"]
    assert ["sso/login/" in messages[0].msg, "refresh/" in messages[1].msg] == [True, True]


def test_revocation_backend_speaks_for_itself(settings: Settings) -> None:
    """Each check looks at its settings; only ``check --deploy`` asks its server."""
    settings.JWT_AUTH_REVOCATION = {"BACKEND": "tests.checks.backends.Worried"}
    settings.JWT_AUTH_THROTTLE_RATES = {}
    assert [message.id for message in check_settings(None)] == ["example.W001"]
    assert [message.id for message in check_deployment(None)] == ["example.W002"]


def test_wrong_settings_are_left_to_their_own_check(settings: Settings) -> None:
    """Each wrong setting is reported once, and never crashes the check."""
    settings.JWT_AUTH_KEY_ROTATION_INTERVAL = 90
    assert check_deployment(None) == []


def test_check_command_runs_them(db: None, settings: Settings) -> None:
    """They are registered: ``check --deploy`` shows them, plain ``check`` does not."""
    settings.JWT_AUTH_REFRESH_COOKIE_SECURE = False
    shown = {deploy: io.StringIO() for deploy in (False, True)}
    for deploy, stream in shown.items():
        call_command("check", deploy=deploy, tags=["jwt_auth"], stderr=stream, stdout=stream)
    assert "jwt_auth.W011" in shown[True].getvalue()
    assert "jwt_auth.W011" not in shown[False].getvalue()


def test_service_that_only_verifies_has_no_message(issuer: Issuer, settings: Settings) -> None:
    """It has no key to rotate, and counts no logins."""
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    assert check_deployment(None) == []


def test_key_that_cannot_be_used_is_warned_of(issuer: Issuer) -> None:
    """Tokens of it are refused, and only the log would say why."""
    keys = [*issuer.key_set(), {**issuer.key_set()[0], "kid": "other", "use": "enc"}]
    issuer.service.always = Answer(body=json.dumps({"keys": keys}).encode())
    (message,) = check_deployment(None)
    assert message.id == "jwt_auth.W080"
    assert "Key 2 of the set: A key whose use is not sig" in message.msg


def test_issuer_that_is_down_is_one_message(issuer: Issuer) -> None:
    with issuer.service.being_away():
        assert ids_of(check_deployment(None)) == ["E030"]
