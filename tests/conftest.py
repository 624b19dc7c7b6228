"""What nearly every test needs: keys, a user, a client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import Group
from django.core.cache import caches
from django.core.management import call_command
from pytest_django import Settings
from rest_framework.test import APIClient

from tests.settings import REAL_PASSWORD_HASHERS


class MakeUser(Protocol):
    """Makes a user whatever the user model is like."""

    def __call__(self, name: str = ..., **fields: Any) -> AbstractBaseUser: ...


class GiveRoles(Protocol):
    """Gives a user roles whatever the user model keeps them in."""

    def __call__(self, user: AbstractBaseUser, *names: str) -> None: ...


#: How a browser test fails that never got as far as the page, for want of time on a busy machine.
#: Such a test gets another try; whatever one has to say about a page that came counts at once.
_NO_PAGE = (
    r"^TimeoutError: Page\.(goto|reload): Timeout",
    r"^AssertionError: the page has no client",
)


@pytest.hookimpl(tryfirst=True)  # before -m selects by the marker
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what uses no database; leave the example project to the runs with its user model."""
    for item in items:
        if not _uses_a_database(item):
            item.add_marker("databaseless")
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.flaky(reruns=1, only_rerun=list(_NO_PAGE)))
    if get_user_model()._meta.label == "accounts.User":
        return
    elsewhere = [item for item in items if item.get_closest_marker("example")]
    if elsewhere:
        config.hook.pytest_deselected(items=elsewhere)
        items[:] = [item for item in items if item not in elsewhere]


def _uses_a_database(item: pytest.Item) -> bool:
    """Whether by a fixture, by the marker, or in a server that it starts."""
    return not {"db", "transactional_db"}.isdisjoint(getattr(item, "fixturenames", ())) or any(
        item.get_closest_marker(name) for name in ("django_db", "live", "browser")
    )


@pytest.fixture(scope="session", autouse=True)
def key_ring() -> None:
    """Make the first key, once; a test that changes the ring points the settings elsewhere."""
    call_command("generate_keys", verbosity=0)


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    """Let no throttle count across tests."""
    yield
    caches["default"].clear()


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
