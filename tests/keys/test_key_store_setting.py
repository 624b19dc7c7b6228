"""`JWT_AUTH_KEY_STORE`: BACKEND and OPTIONS, as in CACHES."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from jwt_auth.keys.stores.base import KeyStore, get_key_store
from tests.keys.stores import MemoryKeyStore


def test_store_is_built_once_for_each_value(settings: Settings) -> None:
    """A change of the setting, in place too, gives another one."""
    config: dict[str, Any] = {"BACKEND": "tests.keys.stores.MemoryKeyStore"}
    settings.JWT_AUTH_KEY_STORE = config | {"OPTIONS": {"name": "one"}}
    first = get_key_store()
    assert get_key_store() is first
    settings.JWT_AUTH_KEY_STORE["OPTIONS"]["name"] = "two"
    second = get_key_store()
    assert isinstance(second, MemoryKeyStore)
    assert (second is first, second.name) == (False, "two")


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("tests.keys.stores.MemoryKeyStore", "dict of BACKEND and OPTIONS"),
        ({"OPTIONS": {}}, "dict of BACKEND and OPTIONS"),
        ({"BACKEND": "x.Y", "PATH": "/"}, "dict of BACKEND and OPTIONS"),
        ({"BACKEND": None}, "not a dotted path"),
        ({"BACKEND": "no.such.Store"}, "No module named 'no'"),
        ({"BACKEND": "tests.keys.stores.sys"}, "not a subclass"),
        ({"BACKEND": "decimal.Decimal"}, "not a subclass"),
        ({"BACKEND": "tests.keys.stores.MemoryKeyStore"}, "MemoryKeyStore are wrong.*'name'"),
        (
            {"BACKEND": "tests.keys.stores.MemoryKeyStore", "OPTIONS": {"nmae": "hunter2"}},
            "MemoryKeyStore are wrong.*'n",
        ),
        (
            {
                "BACKEND": "jwt_auth.keys.stores.file.FileKeyStore",
                "OPTIONS": {"PATH": None},
            },
            "FileKeyStore can't work with a value",
        ),
        (
            {"BACKEND": "tests.keys.stores.MemoryKeyStore", "OPTIONS": {"name": None}},
            "MemoryKeyStore can't work with a value",
        ),
    ],
)
def test_wrong_setting_says_what_is_wrong(settings: Settings, config: Any, reason: str) -> None:
    """By names; an option's value may be a credential."""
    settings.JWT_AUTH_KEY_STORE = config
    with pytest.raises(ImproperlyConfigured, match=reason) as error:
        get_key_store()
    assert "JWT_AUTH_KEY_STORE" in str(error.value)
    assert "hunter2" not in str(error.value)


def test_store_has_no_stamp_by_default(memory_store: MemoryKeyStore) -> None:
    """Only a store that has something cheap gives one."""
    assert KeyStore.stamp(memory_store) is None
