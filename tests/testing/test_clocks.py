"""Tests that set the time: freezegun and time-machine, with real time before and after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.management import call_command
from freezegun import freeze_time
from rest_framework.test import APIClient

from jwt_auth.keys import cache
from jwt_auth.testing import access_token_for, api_client_for

pytestmark = [pytest.mark.smoke, pytest.mark.usefixtures("memory_keys")]

ME = "/api/auth/me/"

#: Sets the time, and gives what lets some of it pass.
SetTime = Callable[[datetime], AbstractContextManager[Callable[[timedelta], object]]]


@contextmanager
def freeze(now: datetime) -> Iterator[Callable[[timedelta], object]]:
    """By freezegun, which stops the monotonic clock as well."""
    with freeze_time(now) as frozen:
        yield frozen.tick


@contextmanager
def travel(now: datetime) -> Iterator[Callable[[timedelta], object]]:
    """By time-machine, which lets the monotonic clock go on."""
    with time_machine.travel(now, tick=False) as traveller:
        yield traveller.shift


@pytest.fixture(params=[freeze, travel])
def set_time(request: pytest.FixtureRequest) -> SetTime:
    """Each of the two packages."""
    given: SetTime = request.param
    return given


def refresh(client: APIClient) -> int:
    """Refresh as a browser does; gives the status."""
    answer = client.post("/api/auth/refresh/")
    if answer.status_code == 200:
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {answer.json()['access_token']}")
    return answer.status_code


@pytest.mark.parametrize("year", [2001, 2100])
def test_session_lives_by_the_clock_of_the_test(
    user: AbstractBaseUser, set_time: SetTime, year: int
) -> None:
    """Its tokens expire with that clock, it is refreshed by it, and it ends by it."""
    with set_time(datetime(year, 1, 1, tzinfo=UTC)) as let_pass:
        client = api_client_for(user)
        assert client.get(ME).status_code == 200
        let_pass(timedelta(minutes=16))
        assert client.get(ME).status_code == 401
        assert refresh(client) == 200
        assert client.get(ME).status_code == 200
        let_pass(timedelta(days=31))
        assert refresh(client) == 401


@pytest.mark.parametrize("year", [2001, 2100])
def test_real_time_afterwards_is_as_before(
    user: AbstractBaseUser, set_time: SetTime, year: int
) -> None:
    """Sessions from before are valid again, and new ones and a rotation work."""
    before = api_client_for(user)
    with set_time(datetime(year, 1, 1, tzinfo=UTC)):
        assert before.get(ME).status_code == 401
        of_then = access_token_for(user)
    assert before.get(ME).status_code == 200
    assert refresh(before) == 200
    assert APIClient().get(ME, HTTP_AUTHORIZATION=f"Bearer {of_then}").status_code == 401
    call_command("rotate_keys", "--now", verbosity=0)
    assert api_client_for(user).get(ME).status_code == 200


@pytest.mark.parametrize("year", [2001, 2100])
def test_rotation_counts_at_the_time_of_the_test(
    user: AbstractBaseUser, set_time: SetTime, year: int
) -> None:
    """Immediately, although no reload interval passes; the first key verifies."""
    with set_time(datetime(year, 1, 1, tzinfo=UTC)):
        former = access_token_for(user)
        call_command("rotate_keys", "--now", verbosity=0)
        assert len(cache.get_ring().keys) == 2
        for token in (former, access_token_for(user)):
            answer = APIClient().get(ME, HTTP_AUTHORIZATION=f"Bearer {token}")
            assert answer.status_code == 200
