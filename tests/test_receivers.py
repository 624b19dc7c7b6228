"""A changed password, a deactivation and a deletion end sessions wherever they happen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.forms import SetPasswordForm
from django.contrib.auth.hashers import make_password
from django.core import serializers
from django.core.management import call_command
from django.db import OperationalError, connection, transaction
from django.test.utils import isolate_apps
from pytest_django import Settings
from rest_framework.test import APIClient

from jwt_auth import receivers
from jwt_auth.exceptions import RefreshTokenRefused, Refusal
from jwt_auth.models import Reason, RefreshTokenFamily, token_version_of
from tests.conftest import MakeUser
from tests.flows.scene import log_in, refresh, refusal_of, row_of

pytestmark = [pytest.mark.django_db, pytest.mark.sql, pytest.mark.user_model, pytest.mark.smoke]

_NEW = "a quite different horse"
_SCRYPT = "django.contrib.auth.hashers.ScryptPasswordHasher"


def _fresh(user: AbstractBaseUser) -> Any:
    return get_user_model()._default_manager.get(pk=user.pk)


def _version(user: AbstractBaseUser) -> int:
    return token_version_of(_fresh(user))


def _set_password(user: Any, **saved: Any) -> None:
    user.set_password(_NEW)
    user.save(**saved)


def _set_password_field_only(user: Any) -> None:
    _set_password(user, update_fields=["password"])


def _take_password(user: Any) -> None:
    user.set_unusable_password()
    user.save()


def _deactivate(user: Any, **saved: Any) -> None:
    user.is_active = False
    user.save(**saved)


def _deactivate_field_only(user: Any) -> None:
    _deactivate(user, update_fields={"is_active"})


def _set_hash(user: Any, **saved: Any) -> None:
    user.password = make_password(_NEW)
    user.save(**saved)


def _set_hash_field_only(user: Any) -> None:
    _set_hash(user, update_fields=["password"])


def _set_hash_of_outdated(user: Any) -> None:
    get_user_model()._default_manager.update(password=make_password("old", hasher="md5"))
    _set_hash_field_only(user)


def _set_hash_after_rehash(user: Any) -> None:
    user.password = make_password("old", hasher="md5")
    get_user_model()._default_manager.update(password=user.password)
    assert user.check_password("old")
    _set_hash_field_only(user)


def _set_password_in_two_saves(user: Any) -> None:
    _set_password_but_save_other_field(user)
    user.save()


def _set_outdated_password_in_two_saves(user: Any) -> None:
    get_user_model()._default_manager.update(password=make_password("old", hasher="md5"))
    _set_password_but_save_other_field(user)
    user.save(update_fields=["password"])


def _give_first_password(user: Any) -> None:
    get_user_model()._default_manager.update(password=make_password(None))
    _set_hash(user)


def _change_by_form(user: Any) -> None:
    form = SetPasswordForm(user, {"new_password1": _NEW, "new_password2": _NEW})
    assert form.is_valid(), form.errors
    form.save()


def _change_by_command(user: Any) -> None:
    from django.contrib.auth.management.commands import changepassword

    command: Any = changepassword.Command(stdout=StringIO(), stderr=StringIO())
    command._get_pass = lambda prompt="": _NEW
    call_command(command, username=user.get_username())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_set_password, Reason.PASSWORD_CHANGED),
        (_set_password_field_only, Reason.PASSWORD_CHANGED),
        (_set_hash, Reason.PASSWORD_CHANGED),
        (_set_hash_field_only, Reason.PASSWORD_CHANGED),
        (_set_hash_of_outdated, Reason.PASSWORD_CHANGED),
        (_set_hash_after_rehash, Reason.PASSWORD_CHANGED),
        (_set_password_in_two_saves, Reason.PASSWORD_CHANGED),
        (_set_outdated_password_in_two_saves, Reason.PASSWORD_CHANGED),
        (_give_first_password, Reason.PASSWORD_CHANGED),
        (_change_by_form, Reason.PASSWORD_CHANGED),
        (_change_by_command, Reason.PASSWORD_CHANGED),
        (_take_password, Reason.PASSWORD_CHANGED),
        (_deactivate, Reason.USER_DEACTIVATED),
        (_deactivate_field_only, Reason.USER_DEACTIVATED),
    ],
)
def test_change_ends_sessions(
    user: AbstractBaseUser, change: Callable[[Any], None], reason: Reason, settings: Settings
) -> None:
    """Every session ends and the version goes up by one, by whatever way the change came."""
    settings.PASSWORD_HASHERS = [_SCRYPT, *settings.PASSWORD_HASHERS]
    issued, version = log_in(user), _version(user)
    change(_fresh(user))
    assert row_of(issued).revocation_reason == reason
    assert _version(user) == version + 1
    assert refusal_of(issued) is not None


@pytest.mark.parametrize("change", [_set_password, _deactivate])
@pytest.mark.django_db(transaction=True)
def test_change_fails_where_sessions_can_not_end(
    user: AbstractBaseUser, change: Callable[[Any], None]
) -> None:
    """Both happen or neither: no thief's session lives on beside a new password."""
    issued, before = log_in(user), _fresh(user)

    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("UPDATE") and RefreshTokenFamily._meta.db_table in sql:
            raise OperationalError
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse), pytest.raises(OperationalError):
        change(_fresh(user))
    assert (_fresh(user).password, _fresh(user).is_active) == (before.password, True)
    assert refusal_of(issued) is None


@pytest.mark.django_db(transaction=True)
def test_session_opened_with_the_old_password_meanwhile_ends(user: AbstractBaseUser) -> None:
    """Between the end of the sessions and the commit of the new password."""
    thieves = []

    def break_in(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        changed = sql.partition("WHERE")[0]
        if changed.startswith("UPDATE") and "password" in changed:
            thieves.append(log_in(_fresh(user)))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(break_in):
        _set_hash_field_only(_fresh(user))
    assert row_of(thieves[0]).revocation_reason == Reason.PASSWORD_CHANGED
    assert refusal_of(thieves[0]) is not None


def _set_unusable_again(user: Any) -> None:
    get_user_model()._default_manager.update(password=make_password(None))
    _take_password(user)


def _save_as_loaded(user: Any) -> None:
    user.save()


def _set_name(user: Any) -> None:
    user.email = "new@example.com"
    user.save()


def _set_password_but_save_other_field(user: Any) -> None:
    _set_password(user, update_fields=["last_login"])


def _deactivate_but_save_other_field(user: Any) -> None:
    _deactivate(user, update_fields=["last_login"])


def _log_into_django(user: Any) -> None:
    from django.contrib.auth.models import update_last_login

    update_last_login(type(user), user)


@pytest.mark.parametrize(
    "change",
    [
        _set_name,
        _set_unusable_again,
        _save_as_loaded,
        _set_password_but_save_other_field,
        _deactivate_but_save_other_field,
        _log_into_django,
    ],
)
def test_other_save_ends_nothing(user: AbstractBaseUser, change: Callable[[Any], None]) -> None:
    """What changes neither password nor standing logs nobody out."""
    issued, version = log_in(user), _version(user)
    change(_fresh(user))
    assert _version(user) == version
    assert refusal_of(issued) is None


def test_creation_bumps_nothing(user: Any) -> None:
    """A new user's version is 0, also of one who is inactive from the start."""
    users = get_user_model()._default_manager
    idle = users.create(**{user.USERNAME_FIELD: "idle@example.com", "is_active": False})
    assert (_version(user), _version(idle)) == (0, 0)


def test_fixture_bumps_nothing(user: AbstractBaseUser) -> None:
    """Rows are loaded as they are written down, and related ones may not be there yet."""
    issued, idle = log_in(user), _fresh(user)
    idle.is_active = False
    for loaded in serializers.deserialize("json", serializers.serialize("json", [idle])):
        loaded.save()
    assert _version(user) == 0
    assert row_of(issued).revoked_at is None


def test_rehash_at_login_ends_nothing(
    user: AbstractBaseUser, credentials: dict[str, str], settings: Settings, api: APIClient
) -> None:
    """Newer parameters for the same password are no change of it."""
    issued, before = log_in(user), _fresh(user).password
    settings.PASSWORD_HASHERS = [_SCRYPT, *settings.PASSWORD_HASHERS]
    assert api.post("/api/auth/login/", credentials, secure=True).status_code == 200
    assert _fresh(user).password != before
    assert refusal_of(issued) is None


def test_password_changed_by_view_leaves_this_device_logged_in(
    user: AbstractBaseUser, password: str, api: APIClient
) -> None:
    """Every other session ends; the answer brings a new one that lives."""
    this, other = log_in(user), log_in(user)
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {this.access_token.text}")
    body = {"old_password": password, "new_password": _NEW}
    answer = api.post("/api/auth/password/change/", body, secure=True)
    assert answer.status_code == 200
    assert {refusal_of(this), refusal_of(other)} == {Refusal.TOKEN_VERSION}
    assert refusal_of(answer.json()["access_token"]) is None


def test_stale_save_never_writes_version_back(user: AbstractBaseUser) -> None:
    """An instance from before a bump that is saved after it revives no token.

    It writes the old password back, which is another change.
    """
    stale, issued = _fresh(user), log_in(user)
    _set_password(_fresh(user))
    stale.email = "new@example.com"
    stale.save()
    assert _version(user) == 2
    assert refusal_of(issued) is not None


def test_reactivated_user_gets_no_session_back(user: AbstractBaseUser) -> None:
    """What a deactivation has ended stays so."""
    issued = log_in(user)
    _deactivate(user)
    user.is_active = True
    user.save()
    assert refusal_of(issued) is Refusal.TOKEN_VERSION


def test_deleted_users_key_used_again_revives_nothing(user: Any) -> None:
    """A new user with an old key is somebody else, for access and refresh tokens alike."""
    issued, key = log_in(user), {user._meta.pk.attname: user.pk}
    name = {user.USERNAME_FIELD: user.get_username()}
    user.delete()
    assert refusal_of(issued) is Refusal.USER_UNKNOWN
    again = get_user_model()._default_manager.create(**(key | name))
    assert refusal_of(issued) is Refusal.SESSION_ENDED
    assert refusal_of(log_in(again)) is None


def test_bulk_deletion_ends_sessions(user: AbstractBaseUser) -> None:
    """Deleting a queryset of users is no way around."""
    issued = log_in(user)
    get_user_model()._default_manager.all().delete()
    assert refusal_of(issued) is Refusal.USER_UNKNOWN


def test_hash_that_nobody_knows_is_no_reason_for_another_one(user: AbstractBaseUser) -> None:
    """A password that is saved as a log-in saves its new hash, over one of no known algorithm."""
    issued, before = log_in(user), _fresh(user)
    get_user_model()._default_manager.filter(pk=user.pk).update(password="md1$salt$hash")
    before.password, before._password = make_password(_NEW), None
    before.save(update_fields=["password"])
    assert row_of(issued).revocation_reason == Reason.PASSWORD_CHANGED


# ---- Several databases


class Elsewhere:
    """Routes the sessions to another database; these here may be another tenant's, or none."""

    has_sessions_here = True

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        """Name the other one."""
        return "elsewhere" if model is RefreshTokenFamily else None

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        """Say whether there are any sessions here."""
        return None if self.has_sessions_here else app_label != "jwt_auth"


@pytest.mark.parametrize("change", [_set_password, _deactivate, lambda user: user.delete()])
def test_change_is_refused_where_the_sessions_are_looked_for_elsewhere(
    user: AbstractBaseUser, change: Callable[[Any], None], settings: Settings
) -> None:
    """The user there who has this key is somebody else."""
    issued, before = log_in(user), _fresh(user)
    settings.DATABASE_ROUTERS = [Elsewhere()]
    with pytest.raises(RuntimeError, match=r'"default", .* "elsewhere"'), transaction.atomic():
        change(_fresh(user))
    settings.DATABASE_ROUTERS = []
    assert (_fresh(user).password, _fresh(user).is_active) == (before.password, True)
    assert refusal_of(issued) is None


@pytest.mark.parametrize("change", [_set_password, _deactivate, lambda user: user.delete()])
def test_change_of_a_copy_without_sessions_ends_none(
    user: AbstractBaseUser,
    change: Callable[[Any], None],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An archive of the users, for example."""
    settings.DATABASE_ROUTERS = [Elsewhere()]
    monkeypatch.setattr(Elsewhere, "has_sessions_here", False)
    before = _fresh(user)
    change(_fresh(user))
    found = get_user_model()._default_manager.filter(pk=user.pk).first()
    assert found is None or vars(found) != vars(before)


# ---- The admin


@pytest.fixture
def admin(make_user: Any, client: Any) -> Any:
    """A browser of somebody who may do everything."""
    fields = {"is_staff": True}
    if hasattr(get_user_model(), "is_superuser"):
        fields["is_superuser"] = True
    client.force_login(make_user("root", **fields))
    return client


@pytest.mark.example
@pytest.mark.parametrize(
    ("form", "is_usable"),
    [
        ({"password1": _NEW, "password2": _NEW, "usable_password": "true"}, True),
        ({"usable_password": "false", "unset-password": "1"}, False),
    ],
    ids=["set", "disabled"],
)
def test_password_changed_in_admin_ends_sessions(
    form: dict[str, str], is_usable: bool, user: AbstractBaseUser, admin: Any
) -> None:
    """Taking the password away is a change of it, as it is for Django's own sessions."""
    issued = log_in(user)
    answer = admin.post(f"/admin/accounts/user/{user.pk}/password/", form, secure=True)
    assert answer.status_code == 302
    assert _fresh(user).has_usable_password() is is_usable
    assert row_of(issued).revocation_reason == Reason.PASSWORD_CHANGED


def test_user_without_password_keeps_sessions_when_saved(user: AbstractBaseUser) -> None:
    """Who logs in elsewhere, and so never had one, is not logged out by a new address."""
    _take_password(user)
    fresh = _fresh(user)
    issued = log_in(fresh)
    _set_name(fresh)
    assert refusal_of(issued) is None


@pytest.mark.example
def test_user_deleted_in_admin_is_refused(user: AbstractBaseUser, admin: Any) -> None:
    """With the sessions, which the page lists among what goes."""
    issued = log_in(user)
    address = f"/admin/accounts/user/{user.pk}/delete/"
    assert admin.post(address, {"post": "yes"}, secure=True).status_code == 302
    assert refusal_of(issued) is Refusal.USER_UNKNOWN


# ---- Models of the project's own that stand on the user


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A proxy of the user model, as if the project had one."""
    with isolate_apps("tests.users", attr_name="registry") as registry:

        class Proxy(get_user_model()):  # type: ignore[misc]  # depends on the job
            class Meta:
                app_label = "users"
                proxy = True

        monkeypatch.setattr(receivers, "apps", registry)
        receivers.connect_user_receivers()
        yield Proxy


def test_proxy_of_user_counts_as_user(user: AbstractBaseUser, proxy: Any) -> None:
    """A password changed through a proxy is changed."""
    issued = log_in(user)
    _set_password(proxy._default_manager.get(pk=user.pk))
    assert row_of(issued).revocation_reason == Reason.PASSWORD_CHANGED


def test_user_deleted_through_proxy_is_refused(user: AbstractBaseUser, proxy: Any) -> None:
    issued = log_in(user)
    proxy._default_manager.get(pk=user.pk).delete()
    assert refusal_of(issued) is Refusal.USER_UNKNOWN


@pytest.mark.parametrize("change", [_set_password, _deactivate])
def test_parent_of_user_counts_as_user(
    make_user: MakeUser, user: AbstractBaseUser, change: Callable[[Any], None]
) -> None:
    """So is one changed through the model that has the password; others of the table are not."""
    field: Any = type(user)._meta.get_field("password")
    if field.model is type(user):
        pytest.skip("the user model has its password in its own table")
    issued, other = log_in(user), log_in(make_user("bob"))
    part = field.model._default_manager.get(email=user.get_username())
    assert part.pk != user.pk
    change(part)
    assert row_of(issued).revocation_reason is not None
    assert refusal_of(issued) is not None
    assert refusal_of(other) is None


def test_refresh_after_change_is_refused(user: AbstractBaseUser) -> None:
    """The refresh token is as dead as the access token."""
    issued = log_in(user)
    _set_password(user)
    with pytest.raises(RefreshTokenRefused):
        refresh(issued)
