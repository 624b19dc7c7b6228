"""Sessions and versions as rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import connection, models
from pytest_django import DjangoAssertNumQueries

from jwt_auth.models import (
    ConfirmedAddress,
    RecordedDenial,
    RefreshTokenFamily,
    RevokedToken,
    TokenVersion,
    TokenVersionField,
    UsedOneTimeToken,
    has_groups,
    has_version_field,
    token_version_of,
)
from jwt_auth.stored_times import InstantField
from tests.conftest import GiveRoles
from tests.flows.scene import log_in

pytestmark = [pytest.mark.django_db, pytest.mark.sql, pytest.mark.user_model, pytest.mark.smoke]


def test_version_counts_up_from_zero(user: Any) -> None:
    """Also for a user without a row of it; nobody else's version moves."""
    users = get_user_model()._default_manager
    other = users.create(**{user.USERNAME_FIELD: "bob@example.com"})
    for expected in (1, 2):
        TokenVersion.objects.bump(user.pk)
        assert token_version_of(users.get(pk=user.pk)) == expected
    assert token_version_of(users.get(pk=other.pk)) == 0


def test_version_stands_in_one_place(user: AbstractBaseUser) -> None:
    """A model with the field needs no row beside it, and one without gets one at the first use."""
    assert TokenVersion.objects.count() == 0
    TokenVersion.objects.bump(user.pk)
    assert TokenVersion.objects.count() == (0 if has_version_field(type(user)) else 1)


def test_migrations_name_the_field_where_projects_import_it() -> None:
    """A project's migration must not depend on the package's inner modules."""
    assert TokenVersionField(default=0).deconstruct()[1] == "jwt_auth.models.TokenVersionField"


def test_load_brings_all_in_one_statement(
    user: AbstractBaseUser, give_roles: GiveRoles, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """Family, user, version and groups, so that a refresh needs one more statement only."""
    give_roles(user, "b", "a")
    TokenVersion.objects.bump(user.pk)
    issued = log_in(get_user_model()._default_manager.get(pk=user.pk))
    with django_assert_num_queries(1):
        family = RefreshTokenFamily.objects.load(issued.family.pk)
        assert family is not None
        assert (family.user, token_version_of(family.user)) == (user, 1)
        if has_groups(type(user)):
            assert {group.name for group in family.user.groups.all()} == {"a", "b"}


def test_load_of_unknown_family_is_none() -> None:
    """A row that was cleared is no failure."""
    assert RefreshTokenFamily.objects.load(uuid4()) is None


def test_session_is_over_at_its_last_moment(user: AbstractBaseUser) -> None:
    """Row and queryset agree on it."""
    family = log_in(user).family
    last = family.expires_at - timedelta(microseconds=1)
    assert family.is_live(last)
    assert family in RefreshTokenFamily.objects.live(last)
    assert not family.is_live(family.expires_at)
    assert family not in RefreshTokenFamily.objects.live(family.expires_at)


def test_nothing_that_a_rotation_changes_is_indexed() -> None:
    """PostgreSQL can then write the new row beside the old one and touch no index (HOT)."""
    fields: list[Any] = list(RefreshTokenFamily._meta.fields)
    indexed = {field.name for field in fields if field.db_index}
    unique = {field.name for field in fields if field.unique}
    assert indexed | unique == {"id", "user", "absolute_expires_at"}
    assert RefreshTokenFamily._meta.indexes == []


def test_expired_rows_are_those_before() -> None:
    """What is over since exactly then stays."""
    now = datetime.now(UTC)
    for seconds in (-1, 0, 1):
        over = now + timedelta(seconds=seconds)
        RevokedToken.objects.deny(str(seconds), user_id=None, expires_at=over, now=now)
    assert [row.jti for row in RevokedToken.objects.expired(now)] == ["-1"]


@pytest.mark.parametrize("minutes", [-10, 10])
def test_second_denial_changes_nothing(minutes: int) -> None:
    """A token that is denied stays so until the end that the first denial has given."""
    now = datetime.now(UTC)
    end = now + timedelta(minutes=15)
    later = timedelta(minutes=minutes)
    RevokedToken.objects.deny("denied", user_id=None, expires_at=end, now=now)
    RevokedToken.objects.deny("denied", user_id=None, expires_at=end + later, now=now + later)
    denial = RevokedToken.objects.get()
    assert (denial.revoked_at, denial.expires_at) == (now, end)


def test_names_tell_no_secret(user: AbstractBaseUser) -> None:
    """What logs and the admin show of a row names it, and nothing that could be sent."""
    family = log_in(user).family
    assert str(family) == f"session {family.pk}"
    assert str(TokenVersion(user_id=user.pk, token_version=3)) == f"version 3 of user {user.pk}"
    assert "secret" not in str(RevokedToken(jti="secret", user_id=user.pk))
    denial = RecordedDenial(kind=RecordedDenial.Kind.TOKEN, value="secret")
    assert str(denial) == f"recorded denial {denial.pk}"
    assert str(UsedOneTimeToken(jti="secret")) == "used one-time token"
    confirmed = ConfirmedAddress(user_id=user.pk, address="secret@example.com")
    assert str(confirmed) == f"confirmed address of user {user.pk}"


def test_instants_are_plain_to_migrations() -> None:
    """The migration of a project's own that names such a field needs nothing of ours."""
    field = RefreshTokenFamily._meta.get_field("created_at")
    assert isinstance(field, InstantField)
    assert field.deconstruct()[1] == "django.db.models.DateTimeField"
    assert isinstance(field, models.DateTimeField)


def test_server_of_the_former_version_can_open_sessions_after_the_migration(
    user: AbstractBaseUser,
) -> None:
    """While the servers are replaced one by one, the old ones don't know the new columns."""
    log_in(user)
    key, *fields = RefreshTokenFamily._meta.concrete_fields
    columns = [
        str(field.column) for field in fields if field.name not in ("claims", "refresh_lifetime")
    ]
    names = ", ".join(map(connection.ops.quote_name, columns))
    other = uuid4()
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO jwt_auth_refreshtokenfamily (id, {names}) "
            f"SELECT %s, {names} FROM jwt_auth_refreshtokenfamily",
            [key.get_db_prep_value(other, connection)],
        )
    assert RefreshTokenFamily.objects.get(pk=other).claims == {}
