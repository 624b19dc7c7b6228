"""The assumptions of every other test."""

from __future__ import annotations

import stat

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from rest_framework.test import APIClient

from tests.conftest import GiveRoles
from tests.settings import SCRATCH_DIR

pytestmark = [pytest.mark.sql, pytest.mark.user_model, pytest.mark.smoke]


def test_scratch_folder_is_private() -> None:
    """Nobody else on the machine can read the keys of a test run."""
    assert stat.S_IMODE(SCRATCH_DIR.stat().st_mode) == 0o700


@pytest.mark.parametrize(("roles", "expected"), [([], 403), (["admin"], 200)])
def test_role_given_by_fixture_counts(
    roles: list[str],
    expected: int,
    api: APIClient,
    user: AbstractBaseUser,
    credentials: dict[str, str],
    give_roles: GiveRoles,
) -> None:
    """A role reaches the token from groups and from a list of the model's own alike."""
    give_roles(user, *roles)
    token = api.post("/api/auth/login/", credentials, secure=True).json()["access_token"]
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    assert api.get("/api/admin/metrics/", secure=True).status_code == expected
