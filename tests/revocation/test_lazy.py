"""A user that isn't read before a field other than the key is needed."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from contextlib import nullcontext, suppress
from operator import attrgetter, methodcaller
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import DatabaseError, models
from pytest_django import DjangoAssertNumQueries, Settings

from jwt_auth.exceptions import AccessTokenRefused, Refusal
from jwt_auth.models import RefreshTokenFamily
from jwt_auth.revocation import lazy
from jwt_auth.revocation.lazy import lazy_user
from tests.flows.scene import log_in, refusal_of

pytestmark = [pytest.mark.django_db, pytest.mark.sql, pytest.mark.user_model, pytest.mark.smoke]


@pytest.fixture
def found(user: AbstractBaseUser) -> Any:
    """The user as a request brings them: not read yet."""
    return lazy_user(get_user_model(), str(user.pk))


def test_user_who_may_be_another_tenants_by_then_is_read_at_once(
    user: AbstractBaseUser, settings: Settings
) -> None:
    """A view may switch to another tenant before it reads a field."""
    settings.JWT_AUTH_TENANT = "builtins.str"
    assert lazy_user(get_user_model(), str(user.pk)) is None


def test_key_is_free(
    user: AbstractBaseUser, found: Any, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """A permission like IsAuthenticated reads no other field."""
    with django_assert_num_queries(0):
        assert found.pk == getattr(found, user._meta.pk.attname) == user.pk
        assert (found.is_authenticated, found.is_anonymous) == (True, False)
        assert found == user
        assert hash(found) == hash(user)
        assert type(found) is get_user_model()


@pytest.mark.parametrize("load", [attrgetter("password"), methodcaller("refresh_from_db")])
def test_first_field_or_reload_brings_all(
    user: AbstractBaseUser,
    found: Any,
    load: Callable[[Any], Any],
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    """In one SELECT. From then on it is like any other user."""
    with django_assert_num_queries(1):
        load(found)
        fields = [field.attname for field in user._meta.concrete_fields]
        assert [getattr(found, name) for name in fields] == [getattr(user, name) for name in fields]
    get_user_model()._default_manager.update(email="new@example.com")
    with django_assert_num_queries(1):
        found.refresh_from_db()
    assert found.email == "new@example.com"


def test_text_that_is_no_key_is_nobody() -> None:
    """If the subject can't be a key of the model."""
    if isinstance(get_user_model()._meta.pk, models.CharField):
        pytest.skip("every text is a key of this model")
    assert lazy_user(get_user_model(), "no key") is None


def test_saved_field_leaves_the_others_alone(user: AbstractBaseUser, found: Any) -> None:
    """A value that was changed meanwhile isn't written back."""
    user.set_password("something else")
    user.save()
    found.email = "new@example.com"
    found.save()
    user.refresh_from_db()
    assert getattr(user, "email", None) == "new@example.com"
    assert user.check_password("something else")


def test_saving_untouched_user_changes_nothing(user: AbstractBaseUser, found: Any) -> None:
    """It is read and written as a whole."""
    before = get_user_model()._default_manager.values().get()
    found.save()
    assert get_user_model()._default_manager.values().get() == before


def test_changed_password_ends_sessions(user: AbstractBaseUser, found: Any) -> None:
    """Even if only the password of the user has been read."""
    issued = log_in(user)
    found.set_password("something else entirely")
    found.save()
    assert refusal_of(issued) is Refusal.TOKEN_VERSION
    assert found.check_password("something else entirely")


def test_deactivated_self_may_still_be_looked_at(user: AbstractBaseUser, found: Any) -> None:
    """A view that deactivates its own user can continue and send them a mail."""
    issued = log_in(user)
    found.is_active = False
    found.save()
    assert refusal_of(issued) is Refusal.USER_INACTIVE
    assert found.email == "alice@example.com"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda users: users.update(is_active=False), Refusal.USER_INACTIVE),
        (lambda users: users.all().delete(), Refusal.USER_UNKNOWN),
    ],
)
def test_deactivated_or_deleted_meanwhile_is_refused_every_time(
    found: Any, change: Callable[[Any], Any], reason: Refusal
) -> None:
    """Like a token, where Django would answer 500. Reading once more doesn't help."""
    change(get_user_model()._default_manager)
    for name in ("email", "email", "password", "is_active"):
        with pytest.raises(AccessTokenRefused) as refused:
            getattr(found, name)
        assert refused.value.reason is reason


def test_failure_of_database_opens_no_door(
    user: AbstractBaseUser, found: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load that failed is repeated as a whole, including the check of is_active."""

    def fail(*arguments: Any, **options: Any) -> None:
        raise DatabaseError

    with monkeypatch.context() as patch:
        patch.setattr(get_user_model(), "refresh_from_db", fail)
        with pytest.raises(DatabaseError):
            assert found.email
    get_user_model()._default_manager.update(is_active=False)
    with pytest.raises(AccessTokenRefused):
        assert found.email


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda user: pickle.loads(pickle.dumps(user))]
)
def test_duplicate_loads_itself(found: Any, duplicate: Any) -> None:
    """A user from a cache or a task queue is complete."""
    twin = duplicate(found)
    assert twin.email == "alice@example.com"
    assert "email" not in found.__dict__
    assert found.email == twin.email


def test_projects_own_reload_is_asked(found: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that overrides refresh_from_db() sees the load."""
    seen = []
    reload = get_user_model().refresh_from_db

    def note(self: Any, *arguments: Any, **options: Any) -> None:
        seen.append(options["fields"])
        reload(self, *arguments, **options)

    monkeypatch.setattr(get_user_model(), "refresh_from_db", note)
    assert found.email
    assert len(seen) == 1


def test_load_goes_to_write_database(found: Any, settings: Settings) -> None:
    """A replica may not know yet that the user is inactive."""
    settings.DATABASE_ROUTERS = ["tests.revocation.test_database.Replica"]
    assert found.email == "alice@example.com"


def test_relations_need_no_load(
    user: AbstractBaseUser, found: Any, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """Related objects are found by the key."""
    issued = log_in(user)
    with django_assert_num_queries(1):
        assert list(found.refresh_token_families.all()) == [issued.family]
    with django_assert_num_queries(1):
        assert RefreshTokenFamily.objects.filter(user=found).count() == 1


@pytest.mark.parametrize("is_swallowed", [False, True])
def test_model_that_reads_its_fields_at_once_is_not_lazy(
    user: Any, monkeypatch: pytest.MonkeyPatch, is_swallowed: bool
) -> None:
    """A change tracker's __init__ would load field by field, or without end."""
    plain = get_user_model().__init__

    def track(self: Any, *values: Any, **fields: Any) -> None:
        plain(self, *values, **fields)
        with suppress(Exception) if is_swallowed else nullcontext():
            self.before = (self.email, self.is_active)

    monkeypatch.setattr(get_user_model(), "__init__", track)
    monkeypatch.setattr(lazy, "_eager", set())
    for _ in range(2):
        assert lazy_user(get_user_model(), str(user.pk)) is None
    whole: Any = get_user_model()._default_manager.get()
    assert whole.before == (user.email, True)
