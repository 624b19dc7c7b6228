"""The stores' own checks: wrong options stop the start, unwise keys are told of."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from pytest_django import Settings

from jwt_auth import checks
from jwt_auth.checks.deployment import check_deployment
from jwt_auth.checks.settings import check_settings
from jwt_auth.keys import jwk
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores.base import get_key_store
from jwt_auth.keys.stores.database import DatabaseKeyStore
from jwt_auth.keys.stores.environment import EnvironmentKeyStore
from jwt_auth.models import StoredKeyRing
from tests.checks.scene import ids_of
from tests.keys.databases import VARIABLE, new_kek

DATABASE = "jwt_auth.keys.stores.database.DatabaseKeyStore"
ENVIRONMENT = "jwt_auth.keys.stores.environment.EnvironmentKeyStore"
KEYS = "JWT_AUTH_KEYS"


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv(KEYS, raising=False)


def use(settings: Settings, backend: str, **options: Any) -> None:
    settings.JWT_AUTH_KEY_STORE = {"BACKEND": backend, "OPTIONS": options}


def own_ids() -> list[str]:
    """What `check --deploy` says of the store alone."""
    of_the_store = {"W041", "W042", "W013"}
    return [number for number in ids_of(check_deployment(None)) if number in of_the_store]


@pytest.mark.parametrize(
    ("backend", "options", "expected"),
    [
        (DATABASE, {"KEY_ENCRYPTION_KEYS_VARIABLE": ""}, "E040"),
        (DATABASE, {"KEY_ENCRYPTION_KEYS_VARIABLE": ["x"]}, "E040"),
        (ENVIRONMENT, {"VARIABLE": ""}, "E042"),
        (ENVIRONMENT, {"VARIABLE": None}, "E042"),
        (ENVIRONMENT, {"ALGORITHM": "none"}, "E043"),
        (ENVIRONMENT, {"ALGORITHM": ["ES256"]}, "E043"),
        (ENVIRONMENT, {"NAME": "ES256"}, "E016"),
    ],
)
def test_wrong_option_stops_the_start_with_the_line_to_write(
    settings: Settings, backend: str, options: dict[str, Any], expected: str
) -> None:
    """Without a look at the database or at a key."""
    use(settings, backend, **options)
    (problem,) = check_settings(None)
    assert problem.id == f"jwt_auth.{expected}"
    assert "Write " in str(problem.hint)
    assert [found.id for found in checks.start_problems(serving=True)] == [problem.id]


@pytest.mark.parametrize("backend", [DATABASE, ENVIRONMENT])
def test_build_without_secrets_passes(settings: Settings, backend: str) -> None:
    """A missing key is not a wrong setting."""
    use(settings, backend)
    assert check_settings(None) == []


def test_ring_in_schemas_of_tenants_stops_the_start(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request would load that of its tenant, and a thread, which has none, another."""
    use(settings, DATABASE)
    monkeypatch.setattr(connection, "schema_name", "public", raising=False)
    (problem,) = check_settings(None)
    assert problem.id == "jwt_auth.E077"
    assert "FileKeyStore" in str(problem.hint)


def test_unfit_key_encryption_key_stops_the_start(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command that makes a good one; what is there is not quoted."""
    use(settings, DATABASE)
    monkeypatch.setenv(VARIABLE, "aHVudGVyMg==")
    (problem,) = check_settings(None)
    assert problem.id == "jwt_auth.E041"
    assert "has 7 bytes instead of 32" in problem.msg
    assert f"Set {VARIABLE} to what `openssl rand -base64 32` prints" in str(problem.hint)
    assert "aHVu" not in problem.msg


@pytest.mark.django_db
def test_missing_key_encryption_key_stops_a_server(settings: Settings) -> None:
    """It can't read its keys; the line to write is named."""
    use(settings, DATABASE)
    (problem,) = checks.start_problems(serving=True)
    assert problem.id == "jwt_auth.E030"
    assert f"{VARIABLE} is not set" in problem.msg
    assert "openssl rand" in problem.msg


@pytest.mark.parametrize("fallback", [False, True])
@pytest.mark.parametrize("as_text", [False, True])
def test_key_encryption_key_that_equals_secret_key_is_unwise(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, fallback: bool, as_text: bool
) -> None:
    """Written the same, or the same bytes; a former SECRET_KEY, too."""
    text = new_kek()
    secret = text if as_text else "0123456789abcdefghijklmnopqrstuv"
    if not as_text:
        text = base64.b64encode(secret.encode()).decode()
    use(settings, DATABASE)
    settings.SECRET_KEY = "another" * 8 if fallback else secret
    settings.SECRET_KEY_FALLBACKS = [secret] if fallback else []
    monkeypatch.setenv(VARIABLE, f"{new_kek()}, {text}")
    (warning,) = check_settings(None)
    assert (warning.id, warning.is_serious()) == ("jwt_auth.W040", False)
    assert secret not in warning.msg + str(warning.hint)


@pytest.mark.django_db
def test_ring_under_a_later_key_asks_for_rewrapping(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until that has been done."""
    use(settings, DATABASE)
    kek = new_kek()
    monkeypatch.setenv(VARIABLE, kek)
    call_command("generate_keys", verbosity=0)
    assert own_ids() == []
    monkeypatch.setenv(VARIABLE, f"{new_kek()},{kek}")
    assert own_ids() == ["W041"]
    call_command("rewrap_keys")
    assert own_ids() == []
    store = get_key_store()
    assert isinstance(store, DatabaseKeyStore)
    StoredKeyRing.objects.update(document="{")
    assert store.check_server() == []


def test_key_that_stands_alone_is_unwise(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can't be replaced in peace; of its age nothing is made up. A ring has no such warning."""
    use(settings, ENVIRONMENT)
    monkeypatch.setenv(KEYS, json.dumps(jwk.generate("ES256")))
    assert own_ids() == ["W042"]
    now = datetime.now(UTC)
    ring = KeyRing(version=0).with_next_key(jwk.generate("ES256"), now, now, now - now)
    monkeypatch.setenv(KEYS, ring.to_json())
    assert own_ids() == []
    monkeypatch.delenv(KEYS)
    assert EnvironmentKeyStore().check_server() == []
