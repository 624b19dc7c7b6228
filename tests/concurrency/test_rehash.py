"""Log-ins of one user at once, each of which hashes the password anew."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import MD5PasswordHasher
from pytest_django import Settings
from rest_framework.test import APIClient

from tests.concurrency.threads import at_once
from tests.flows.scene import refusal_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sql, pytest.mark.user_model]


class NewerHasher(MD5PasswordHasher):
    """What the project hashes with since its last version."""

    algorithm = "newer"


def test_log_ins_that_hash_the_password_anew_at_once_all_succeed(
    user: AbstractBaseUser, password: str, settings: Settings
) -> None:
    """Nobody is refused, and nobody's session ends: the password is the same."""
    settings.PASSWORD_HASHERS = [f"{__name__}.NewerHasher", *settings.PASSWORD_HASHERS]
    credentials = {"username": user.get_username(), "password": password}

    def post() -> Any:
        return APIClient().post("/api/auth/login/", credentials, secure=True)

    answers = at_once([post] * 8)
    assert [answer.status_code for answer in answers] == [200] * 8
    assert {refusal_of(answer.json()["access_token"]) for answer in answers} == {None}
    user.refresh_from_db()
    assert user.password.startswith("newer$")
