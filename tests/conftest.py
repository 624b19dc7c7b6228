"""What nearly every test needs: keys, a user, a client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import Group
from django.core.cache import caches
from django.core.management import call_command
from django.utils import translation
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from pytest_django import Settings
from rest_framework.test import APIClient

from jwt_auth.conf import NO_REVOCATION
from jwt_auth.keys.stores.base import get_key_store
from jwt_auth.keys.stores.file import FileKeyStore
from tests.jobs import jobs_of
from tests.keys.issuer import Issuer
from tests.keys.reloading import finish_reloads, record_reloads
from tests.settings import REAL_PASSWORD_HASHERS

# How long an example takes says more of the machine than of the code.
hypothesis_settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("untimed")


class MakeUser(Protocol):
    """Makes a user whatever the user model is like."""

    def __call__(self, name: str = ..., **fields: Any) -> AbstractBaseUser: ...


class GiveRoles(Protocol):
    """Gives a user roles whatever the user model keeps them in."""

    def __call__(self, user: AbstractBaseUser, *names: str) -> None: ...


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse a test that no job runs; leave the example project to runs with its user model."""
    # A worker of pytest-xdist can't say why it stops: there tests/test_jobs.py says it.
    is_worker = hasattr(config, "workerinput")
    if not is_worker and (forgotten := [item.nodeid for item in items if not jobs_of(item)]):
        listed = "\n  ".join(forgotten)
        raise pytest.UsageError(f"By their markers, no job in tests/jobs.py runs:\n  {listed}")
    if get_user_model()._meta.label == "accounts.User":
        return
    elsewhere = [item for item in items if item.get_closest_marker("example")]
    if elsewhere:
        config.hook.pytest_deselected(items=elsewhere)
        items[:] = [item for item in items if item not in elsewhere]


@pytest.fixture(scope="session", autouse=True)
def key_ring() -> None:
    """Make the first key, once; a test that changes the ring points the settings elsewhere."""
    call_command("generate_keys", verbosity=0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder that a file store will make."""
    return tmp_path / "keys"


@pytest.fixture
def file_store(folder: Path, settings: Settings) -> FileKeyStore:
    """The settings' store: an empty file store."""
    settings.JWT_AUTH_KEY_STORE = {
        "BACKEND": "jwt_auth.keys.stores.file.FileKeyStore",
        "OPTIONS": {"PATH": str(folder)},
    }
    store = get_key_store()
    assert isinstance(store, FileKeyStore)
    return store


@pytest.fixture
def issuer(settings: Settings) -> Iterator[Issuer]:
    """The issuer of the tokens that this process, a service without private keys, verifies."""
    issuer = Issuer()
    settings.JWT_AUTH_KEY_STORE = None
    settings.JWT_AUTH_JWKS_URL = issuer.url
    # What the default of such a service is; the settings of the tests name another.
    settings.JWT_AUTH_REVOCATION = NO_REVOCATION
    with issuer.service.running():
        yield issuer
        finish_reloads()


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    """Let no throttle count across tests."""
    yield
    caches["default"].clear()


@pytest.fixture(autouse=True)
def _default_language() -> Iterator[None]:
    """Forget the language of a request: the middleware leaves it active in the thread."""
    yield
    translation.deactivate()


@pytest.fixture(autouse=True)
def _finished_reloads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let no load of keys in the background tell its events to the log of the next test."""
    record_reloads(monkeypatch)
    yield
    finish_reloads()


@pytest.fixture
def real_password_hashers(settings: Settings) -> None:
    """Hash as in production: for tests that measure."""
    settings.PASSWORD_HASHERS = REAL_PASSWORD_HASHERS


@pytest.fixture
def password() -> str:
    """The password of every user that `make_user` makes; the validators have nothing against it."""
    return "correct horse battery staple"


@pytest.fixture
def make_user(db: None, password: str) -> MakeUser:
    """Make users by name: `make_user("bob", is_active=False)`."""

    def make(name: str = "alice", **fields: Any) -> AbstractBaseUser:
        model = get_user_model()
        if model.USERNAME_FIELD != "email":
            fields[model.USERNAME_FIELD] = name
        fields.setdefault("email", f"{name}@example.com")
        fields.setdefault("password", password)
        user: AbstractBaseUser = model._default_manager.create_user(**fields)
        return user

    return make


@pytest.fixture
def user(make_user: MakeUser) -> AbstractBaseUser:
    """Alice, an active user without roles."""
    return make_user()


@pytest.fixture
def credentials(user: AbstractBaseUser, password: str) -> dict[str, str]:
    """What the user sends to log in."""
    return {"username": user.get_username(), "password": password}


@pytest.fixture
def give_roles() -> GiveRoles:
    """Give roles: groups where the model has them, else the list that JWT_AUTH_ROLES reads."""

    def give(user: AbstractBaseUser, *names: str) -> None:
        if hasattr(user, "groups"):
            user.groups.set([Group.objects.get_or_create(name=name)[0] for name in names])
        else:
            user.roles = list(names)  # type: ignore[attr-defined]  # users.StringKeyUser
            user.save()

    return give


@pytest.fixture
def api() -> APIClient:
    """A client without credentials, which keeps the cookies that it is given."""
    return APIClient()


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> set[Any]:
    """Have the default manager hide the users with the keys in this set."""
    hidden: set[Any] = set()
    plain = type(get_user_model()._default_manager)

    class Manager(plain):  # type: ignore[misc,valid-type]  # whatever the model has
        def get_queryset(self) -> Any:
            return super().get_queryset().exclude(pk__in=hidden | {None})

    manager: Any = Manager()
    manager.model, manager.name = get_user_model(), "objects"
    monkeypatch.setitem(get_user_model()._meta.__dict__, "default_manager", manager)
    return hidden
