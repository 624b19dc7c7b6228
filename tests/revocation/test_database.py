"""Revocation answered by the database, with any user model and any routers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models
from pytest_django import DjangoAssertNumQueries, Settings

from jwt_auth import flows
from jwt_auth.exceptions import AccessTokenRefused, Refusal
from jwt_auth.models import Reason, has_groups
from jwt_auth.revocation.base import get_backend
from tests.conftest import GiveRoles, MakeUser
from tests.flows.scene import BROWSER, authenticate, log_in, refresh, refusal_of, row_of
from tests.revocation.contract import RevocationContract

DATABASE = "jwt_auth.revocation.database.DatabaseRevocation"


@pytest.mark.django_db(transaction=True)
class TestContract(RevocationContract):
    REVOCATION: ClassVar[dict[str, Any]] = {"BACKEND": DATABASE}


pytestmark = [pytest.mark.django_db, pytest.mark.sql, pytest.mark.user_model, pytest.mark.smoke]


@pytest.mark.parametrize("roles", [[], ["a"], ["a", "b", "c"]], ids=len)
def test_requests_take_few_statements(
    user: AbstractBaseUser,
    roles: list[str],
    give_roles: GiveRoles,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    """One for an authenticated request and two for a refresh, whatever the number of roles."""
    give_roles(user, *roles)
    issued = log_in(user)
    with django_assert_num_queries(1):
        found, token = authenticate(issued)
        assert found.get_username() == user.get_username()
    with django_assert_num_queries(2):
        successor = refresh(issued)
    _, next_token = authenticate(successor)
    assert list(token.roles) == list(next_token.roles) == roles


def test_session_of_other_user_does_not_count(user: AbstractBaseUser, make_user: MakeUser) -> None:
    """A token needs a live session of the same user."""
    other = log_in(make_user("bob"))
    _, token = authenticate(log_in(user))
    with pytest.raises(AccessTokenRefused) as refused:
        get_backend().get_user(replace(token, session_id=other.family.pk))
    assert refused.value.reason is Refusal.SESSION_ENDED


class Replica:
    """Sends reads to a database that doesn't exist."""

    def db_for_read(self, model: type[models.Model], **hints: Any) -> str:
        return "replica"

    def db_for_write(self, model: type[models.Model], **hints: Any) -> str:
        return "default"


def test_nothing_is_decided_by_a_replica(
    user: AbstractBaseUser, settings: Settings, give_roles: GiveRoles
) -> None:
    """A replica may be empty or lag behind a revocation: a whole session runs without it."""
    give_roles(user, "a")
    settings.DATABASE_ROUTERS = [Replica()]
    successor = refresh(log_in(user), key="k")
    now = datetime.now(UTC)
    assert refusal_of(successor) is None
    assert len(flows.list_sessions(user.pk, now=now)) == 1
    flows.log_out(
        refresh_tokens=[], access_token=successor.access_token.text, client=BROWSER, now=now
    )
    assert refusal_of(successor) is Refusal.SESSION_ENDED
    flows.log_out_everywhere(user.pk, client=BROWSER, now=now)
    assert refusal_of(successor) is Refusal.TOKEN_VERSION
    assert flows.end_all_sessions(reason=Reason.ADMINISTRATOR, client=None, now=now) == 0


@pytest.mark.parametrize("time_zone", ["UTC", "America/New_York"])
@pytest.mark.parametrize("use_tz", [True, False])
def test_session_lives_with_and_without_time_zones(
    user: AbstractBaseUser, settings: Settings, use_tz: bool, time_zone: str
) -> None:
    """USE_TZ is the project's choice. The times of a session are the same with both."""
    settings.USE_TZ, settings.TIME_ZONE = use_tz, time_zone
    now = datetime.now(UTC)
    successor = refresh(log_in(user, now=now), now=now)
    found, _ = flows.authenticate(successor.access_token.text, client=BROWSER, now=now)
    assert row_of(successor).expires_at == now + timedelta(days=7)
    assert found.last_login is None
    flows.log_out(
        refresh_tokens=[successor.refresh_token.text], access_token=None, client=BROWSER, now=now
    )
    assert row_of(successor).revoked_at == now
    assert refusal_of(successor) is Refusal.SESSION_ENDED


@pytest.mark.parametrize("last_login", [None, datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)])
def test_user_is_what_the_orm_would_give(
    user: AbstractBaseUser, last_login: datetime | None
) -> None:
    """Every column of the compiled statement passes through its own field's converters."""
    user.last_login = last_login
    user.save()
    found, _ = authenticate(log_in(user))
    expected = get_user_model()._default_manager.get(pk=user.pk)
    for field in get_user_model()._meta.concrete_fields:
        assert getattr(found, field.attname) == getattr(expected, field.attname)
    assert found._state.db == "default"
    model: Any = type(found)
    assert not has_groups(model) or list(found.groups.all()) == []
