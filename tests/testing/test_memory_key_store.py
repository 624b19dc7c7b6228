"""The key store in memory: its first key, and what commands and forked processes do with it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.management import CommandError, call_command
from django.test import override_settings
from pytest_django import Settings

from jwt_auth import testing
from jwt_auth.checks.deployment import check_deployment
from jwt_auth.checks.settings import check_settings
from jwt_auth.exceptions import KeyRingConflict, KeyRingExists
from jwt_auth.keys import cache
from jwt_auth.keys.ring import RingKey
from jwt_auth.keys.stores.base import get_key_store
from jwt_auth.testing import SETTINGS, MemoryKeyStore, api_client_for, put_first_keys_back
from tests.keys.reloading import holds_in_child

pytestmark = pytest.mark.usefixtures("memory_keys")

SIGNER = {"BACKEND": "jwt_auth.keys.signers.aws.AWSKMSSigner"}


def signing_key() -> RingKey:
    return cache.get_ring().signing_key(datetime.now(UTC))


def test_first_load_makes_a_key_that_later_ones_find() -> None:
    """No command has to be run, and every store of the process has the same ring."""
    assert MemoryKeyStore().load() == MemoryKeyStore().load() == cache.get_ring()


@pytest.mark.parametrize("year", [1971, 2001, 2100])
def test_first_key_signs_and_verifies_at_any_time(year: int) -> None:
    """A test's clock may stand long before the start of the tests, or long after it."""
    now = datetime(year, 1, 1, tzinfo=UTC)
    key, end = cache.get_signing_key_and_end(now)
    assert cache.get_verification_key(key.kid, now).kid == key.kid
    assert end is None


def test_forked_process_has_the_same_key() -> None:
    """A server that a test forks accepts the tokens of the test."""
    kid = signing_key().kid

    def has_the_same() -> bool:
        cache.reset()
        return signing_key().kid == kid

    assert holds_in_child(has_the_same)


def test_other_algorithm_has_another_key() -> None:
    """For as long as the setting says so; afterwards the first key signs again."""
    first = signing_key()
    with override_settings(JWT_AUTH_ALGORITHM="EdDSA"):
        assert signing_key().algorithm == "EdDSA"
    assert signing_key() == first


def test_signer_of_the_project_makes_no_first_key(settings: Settings) -> None:
    """Tests cost nothing at the key service, and need no credentials."""
    settings.JWT_AUTH_KEY_SIGNER = SIGNER
    settings.JWT_AUTH_ALGORITHM = "HS256"
    assert signing_key().signer is None


@override_settings(JWT_AUTH_KEY_SIGNER=SIGNER)
def test_signer_of_the_project_makes_no_later_key() -> None:
    """The settings of the mixin and of the plugin turn it off."""
    with override_settings(**SETTINGS):
        call_command("rotate_keys", "--now", verbosity=0)
        assert signing_key().signer is None


def test_command_changes_the_keys_until_they_are_put_back(user: AbstractBaseUser) -> None:
    """The new key signs immediately, and tokens of the former one stay valid."""
    first, client = signing_key(), api_client_for(user)
    call_command("rotate_keys", "--now", verbosity=0)
    assert signing_key().kid != first.kid
    assert client.get("/api/auth/me/").status_code == 200
    put_first_keys_back()
    assert signing_key() == first


def test_generate_keys_says_that_there_is_a_key() -> None:
    """The tests of a project that had another store may still call it."""
    cache.get_ring()
    with pytest.raises(CommandError, match="There is a key ring already"):
        call_command("generate_keys", verbosity=0)


def test_ring_is_saved_in_place_of_the_expected_version_only() -> None:
    """As in every store: one of two changes at the same time wins."""
    store = get_key_store()
    first = store.load()
    second = replace(first, version=first.version + 1)
    store.save(second, expected_version=first.version)
    assert store.load() == second
    for expected in (first.version, second.version + 1):
        with pytest.raises(KeyRingConflict):
            store.save(second, expected_version=expected)
    with pytest.raises(KeyRingExists):
        store.save(first, expected_version=None)


def test_save_that_another_thread_has_overtaken_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It had read the ring before the other one saved."""
    store = get_key_store()
    first = store.load()
    store.save(replace(first, version=first.version + 1), expected_version=first.version)
    monkeypatch.setattr(testing, "_find_ring", lambda: first)
    with pytest.raises(KeyRingConflict):
        store.save(replace(first, version=first.version + 2), expected_version=first.version)


def test_stamp_changes_with_the_ring(settings: Settings) -> None:
    """So that a request with an unknown kid loads nothing in vain."""
    store = get_key_store()
    ring = store.load()
    before = store.stamp()
    store.save(replace(ring, version=ring.version + 1), expected_version=ring.version)
    assert store.stamp() not in (before, None)
    settings.JWT_AUTH_ALGORITHM = "RS256"  # has no ring yet
    assert store.stamp() is None


def test_checks_of_a_command_find_nothing_unless_for_deployment() -> None:
    """`manage.py test` runs them first."""

    def ids(messages: list[Any]) -> set[str]:
        return {message.id for message in messages if "MemoryKeyStore" in message.msg}

    assert ids(check_settings(None)) == set()
    assert ids(check_deployment(None)) == {"jwt_auth.E078"}
