"""What a user model may be like: hidden users, children with keys of their own, other models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.management import call_command
from django.db import connection, models
from django.test.utils import isolate_apps
from pytest_django import Settings

from jwt_auth import receivers
from jwt_auth.exceptions import RefreshTokenRefused, Refusal
from jwt_auth.models import Reason, token_version_of
from jwt_auth.users import current_tenant, key_of
from tests.flows.scene import log_in, refresh, refusal_of, row_of

pytestmark = [pytest.mark.django_db, pytest.mark.sql, pytest.mark.user_model, pytest.mark.smoke]

_TENANT = ["a"]


def tenant_of_test() -> str:
    """Name the tenant; JWT_AUTH_TENANT."""
    return _TENANT[0]


# Hidden users


def test_hidden_user_is_refused(user: AbstractBaseUser, hidden: set[Any]) -> None:
    """At once, and again found when no longer hidden: by the access token and by a refresh."""
    issued = log_in(user)
    hidden.add(user.pk)
    assert refusal_of(issued) is Refusal.USER_UNKNOWN
    with pytest.raises(RefreshTokenRefused):
        refresh(issued)
    hidden.clear()
    assert refusal_of(refresh(issued)) is None


def test_command_ends_sessions_of_hidden_user(user: AbstractBaseUser, hidden: set[Any]) -> None:
    """A user who was deleted softly may have been the thief."""
    issued = log_in(user)
    hidden.add(user.pk)
    call_command("revoke_tokens", user=user.get_username(), verbosity=0)
    assert row_of(issued).revocation_reason == Reason.ADMINISTRATOR


# Other models


class Stranger(AbstractBaseUser):
    """A user of another model, which is in no app."""

    class Meta:
        app_label = "elsewhere"
        managed = False


def test_user_of_another_model_is_named_in_the_error() -> None:
    """Sessions refer to one model."""
    expected = rf"AUTH_USER_MODEL \({get_user_model()._meta.label}\).*instance of Stranger"
    with pytest.raises(TypeError, match=expected):
        log_in(Stranger(pk=1))


@pytest.fixture(params=["own key", "key of the user"])
def child(
    request: pytest.FixtureRequest,
    user: Any,
    transactional_db: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Any]:
    """The user, as an instance of a child model whose own key may be that of somebody else."""
    has_own_key = request.param == "own key"
    with isolate_apps("tests.users", attr_name="registry") as registry:

        class Employee(get_user_model()):  # type: ignore[misc]
            account = models.OneToOneField(
                get_user_model(), models.CASCADE, parent_link=True, primary_key=not has_own_key
            )
            number = models.CharField(max_length=40, primary_key=has_own_key)

            class Meta:
                app_label = "users"

        monkeypatch.setattr(receivers, "apps", registry)
        receivers.connect_user_receivers()
        with connection.schema_editor() as editor:
            editor.create_model(Employee)
        try:
            made = Employee(number="another's key", account=user)
            made.__dict__.update({**user.__dict__, "_state": made._state})
            made.save_base(raw=True)
            yield Employee._base_manager.get()
        finally:
            with connection.schema_editor() as editor:
                editor.delete_model(Employee)


def test_child_is_its_parent(user: AbstractBaseUser, child: Any) -> None:
    """Tokens are the user's, and a saved password ends the user's sessions."""
    issued = log_in(child)
    assert key_of(child) == user.pk
    assert refusal_of(issued) is None
    assert refusal_of(refresh(issued)) is None
    child.set_password("a quite different horse")
    child.save()
    assert row_of(issued).revocation_reason == Reason.PASSWORD_CHANGED
    # Before the save and, since that is a commit, after it.
    assert token_version_of(get_user_model()._default_manager.get(pk=user.pk)) == 2


def test_deleted_child_is_its_parent(user: AbstractBaseUser, child: Any) -> None:
    """The row of the user goes with the child's."""
    issued = log_in(child)
    child.delete()
    assert refusal_of(issued) is Refusal.USER_UNKNOWN


# Tenants


def test_tenant_is_the_database_and_its_schema(
    user: AbstractBaseUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """django-tenants notes the schema on the connection."""
    assert current_tenant() == "default"
    monkeypatch.setattr(connection, "schema_name", "acme", raising=False)
    assert current_tenant() == "default/acme"


def test_project_may_name_the_tenant(settings: Settings) -> None:
    """Where tenants are kept apart in a way of its own."""
    settings.JWT_AUTH_TENANT = f"{__name__}.tenant_of_test"
    assert current_tenant() == "a"
