"""A session for a user in one line: the functions, and the mixin for test cases."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.core.management import call_command
from django.test import Client, TestCase, override_settings
from rest_framework.test import APITestCase

from jwt_auth.conf import conf
from jwt_auth.keys import cache
from jwt_auth.models import RefreshTokenFamily
from jwt_auth.testing import JWTAuthMixin, access_token_for, api_client_for
from jwt_auth.tokens import access
from tests.conftest import GiveRoles, MakeUser

pytestmark = [pytest.mark.smoke, pytest.mark.user_model]

ME = "/api/auth/me/"


def make_alice() -> AbstractBaseUser:
    """For test cases, which get no fixtures."""
    model: Any = get_user_model()
    fields = {} if model.USERNAME_FIELD == "email" else {model.USERNAME_FIELD: "alice"}
    user: AbstractBaseUser = model._default_manager.create_user(
        email="alice@example.com", password="correct horse", **fields
    )
    return user


def test_access_token_is_one_of_a_session(user: AbstractBaseUser) -> None:
    """Any client can send it: here Django's."""
    token = access_token_for(user)
    assert RefreshTokenFamily.objects.filter(user_id=user.pk).count() == 1
    answer = Client().get(ME, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200


def test_client_has_the_roles_of_its_user(user: AbstractBaseUser, give_roles: GiveRoles) -> None:
    """Permissions look at the token, which is a real one."""
    assert api_client_for(user).get("/api/admin/metrics/").status_code == 403
    give_roles(user, "admin")
    assert api_client_for(user).get("/api/admin/metrics/").status_code == 200


def test_sessions_of_tests_have_claims(user: AbstractBaseUser) -> None:
    """Also after a refresh: they are those of a real session."""
    claims = {"plan": "free", "amr": ["pwd", "otp"]}
    client = api_client_for(user, claims=claims)
    refreshed = client.post("/api/auth/refresh/").json()["access_token"]
    for text in (access_token_for(user, claims=claims), refreshed):
        read = access.verify(text, now=datetime.now(UTC)).claims
        assert {name: read[name] for name in claims} == claims


def test_client_can_refresh_and_log_out(user: AbstractBaseUser) -> None:
    """It has the refresh cookie as well; a logout ends the session."""
    client = api_client_for(user)
    assert client.post("/api/auth/refresh/").status_code == 200
    assert client.post("/api/auth/logout/").status_code == 204
    assert client.get(ME).status_code == 401
    assert client.post("/api/auth/refresh/").status_code == 401


def test_credentials_of_the_client_can_be_taken_away(user: AbstractBaseUser) -> None:
    """By REST framework's own call."""
    client = api_client_for(user)
    client.credentials()
    assert client.get(ME).status_code == 401


def test_clients_are_separate(make_user: MakeUser) -> None:
    """One test can be several users."""
    clients = [api_client_for(make_user(name)) for name in ("alice", "bob")]
    assert len({client.get(ME).json()["id"] for client in clients}) == 2


@pytest.mark.parametrize("open_session", [access_token_for, api_client_for])
def test_inactive_user_is_an_error(make_user: MakeUser, open_session: Any) -> None:
    """Not a client that is refused everywhere."""
    with pytest.raises(ValueError, match="The user is inactive"):
        open_session(make_user(is_active=False))


def test_unsaved_user_is_an_error(db: None) -> None:
    """Most often, save() was forgotten."""
    with pytest.raises(ValueError, match="save the user first"):
        access_token_for(get_user_model()(email="alice@example.com"))


def test_user_with_another_password_is_an_error(user: AbstractBaseUser) -> None:
    """The instance is older than the password in the database."""
    changed = get_user_model()._default_manager.get(pk=user.pk)
    changed.set_password("another one")
    changed.save()
    with pytest.raises(ValueError, match="read the user again"):
        access_token_for(user)


def test_anonymous_user_is_an_error() -> None:
    """The error names the model."""
    with pytest.raises(TypeError, match="AUTH_USER_MODEL"):
        access_token_for(AnonymousUser())  # type: ignore[arg-type]  # on purpose


class TestMixin(JWTAuthMixin, APITestCase):
    """A class of tests as a project writes it."""

    alice: AbstractBaseUser
    token: str

    @classmethod
    def setUpTestData(cls) -> None:
        """Make what all tests of the class have."""
        cls.alice = make_alice()
        cls.token = access_token_for(cls.alice)

    def test_client_is_logged_in(self) -> None:
        """From the call on."""
        assert self.client.get(ME).status_code == 401
        self.log_in(self.alice)
        assert self.client.get(ME).status_code == 200
        assert self.client.post("/api/auth/refresh/").status_code == 200

    def test_token_of_the_class_is_valid(self) -> None:
        """The keys are those of the class from its beginning."""
        self.client.credentials(HTTP_AUTHORIZATION=f"Bearer {self.token}")
        assert self.client.get(ME).status_code == 200

    def rotate_first_key(self) -> None:
        """Rotate; fails where an earlier test has rotated and was not undone."""
        assert cache.get_ring().version == 1
        call_command("rotate_keys", "--now", verbosity=0)
        assert cache.get_ring().version > 1

    def test_rotation_lasts_for_one_test(self) -> None:
        """Together with the next test, in whatever order they run."""
        self.rotate_first_key()

    def test_rotation_of_another_test_is_undone(self) -> None:
        """The keys are the first ones again."""
        self.rotate_first_key()


@override_settings(JWT_AUTH_ALGORITHM="EdDSA", JWT_AUTH_THROTTLE_RATES={})
class TestMixinBesideSettings(TestCase, JWTAuthMixin):
    """The mixin in the wrong place, and settings of the project's own."""

    def test_client_of_django_is_logged_in(self) -> None:
        """REST framework's isn't needed."""
        self.log_in(make_alice())
        assert type(self.client) is Client
        assert self.client.get(ME).status_code == 200

    def test_settings_of_the_class_win(self) -> None:
        """A test of throttles turns them on again."""
        assert None not in conf.throttle_rates.values()
        assert [key.algorithm for key in cache.get_ring().keys] == ["EdDSA"]
