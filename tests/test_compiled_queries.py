"""Composed statements give what a queryset would have given."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.db.utils import DatabaseError
from django.test.utils import override_settings
from pytest_django import DjangoAssertNumQueries

from jwt_auth.compiled_queries import Select, Slot, Update, compiled_once
from jwt_auth.models import RefreshTokenFamily
from tests.conftest import MakeUser
from tests.flows.scene import log_in, row_of

pytestmark = [pytest.mark.sql, pytest.mark.user_model, pytest.mark.smoke]


def _users() -> Select:
    model = get_user_model()
    return Select(model._default_manager.filter(pk=Slot("id", model._meta.pk)))


def test_select_gives_what_the_queryset_gives(user: AbstractBaseUser) -> None:
    """Every field, converted, and a loaded instance that can be saved."""
    (found,) = _users().fetch(id=user.pk)
    expected = get_user_model()._default_manager.get(pk=user.pk)
    assert vars(found) | {"_state": None} == vars(expected) | {"_state": None}
    assert not found._state.adding
    assert found._state.db == "default"


def test_select_takes_other_values_each_time(
    user: AbstractBaseUser, make_user: MakeUser, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """One statement an execution; nothing is kept from the one before."""
    select, other = _users(), make_user("bob")
    with django_assert_num_queries(2):
        assert select.fetch(id=str(user.pk)) == [user]
        assert select.fetch(id=other.pk) == [other]


def test_update_counts_the_rows_that_match(user: AbstractBaseUser) -> None:
    """Also those that already have the value, on every database."""
    family = row_of(log_in(user))
    name = RefreshTokenFamily._meta.get_field("user_agent")
    families = RefreshTokenFamily.objects.filter(pk=Slot("id", RefreshTokenFamily._meta.pk))
    update = Update(families.using("default"), {"user_agent": Slot("user_agent", name)})
    assert update.execute(id=family.pk, user_agent="Lynx") == 1
    assert update.execute(id=family.pk, user_agent="Lynx") == 1
    family.refresh_from_db()
    assert family.user_agent == "Lynx"


def test_failed_update_marks_the_transaction(user: AbstractBaseUser) -> None:
    """As Django's own update does it: the block must not be committed half."""
    pk = RefreshTokenFamily._meta.get_field("generation")
    rows = RefreshTokenFamily.objects.using("default").extra(where=["no_such_column = 1"])
    update = Update(rows, {"generation": Slot("generation", pk)})
    with transaction.atomic(), pytest.raises(DatabaseError), transaction.atomic():
        update.execute(generation=1)
    with transaction.atomic():
        with pytest.raises(DatabaseError):
            update.execute(generation=1)
        assert transaction.get_connection().needs_rollback
        transaction.set_rollback(True)


def test_compiled_once_compiles_again_when_a_setting_changes() -> None:
    """A converter that was chosen under another time zone would shift every moment."""
    compiled: list[int] = []
    compile_once = compiled_once(compiled.append)
    compile_once(1)
    compile_once(1)
    assert compiled == [1]
    with override_settings(TIME_ZONE="Asia/Tokyo"):
        compile_once(1)
    assert compiled == [1, 1]
