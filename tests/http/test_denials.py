"""GET denials/, the deny feed."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings

from tests.http.services import Service
from tests.http.site import Session, Site

pytestmark = [pytest.mark.sql, pytest.mark.user_model, pytest.mark.smoke]


@pytest.fixture(autouse=True)
def _feed(settings: Settings) -> None:
    settings.JWT_AUTH_DENY_FEED = True


@pytest.mark.parametrize("slash", ["", "/"])
def test_service_reads_what_is_in_force(
    site: Site, session: Session, service: Service, slash: str
) -> None:
    """Each time all of it; nothing in between may keep it."""
    site.post("logout/", headers=session.bearer)
    first, second = (site.get(f"denials{slash}", headers=service.headers) for _ in range(2))
    assert first.status_code == 200
    assert first["Cache-Control"] == "no-store"
    said = first.json()
    assert 0 <= time.time() - said.pop("as_of") < 60
    assert said["sessions"] == [str(session.id)]
    assert len(said["tokens"]) == 1
    assert (said["lifetime"], said["users"], said["everyone"]) == (900, {}, None)
    assert second.json()["sessions"] == said["sessions"]


def test_feed_that_is_off_gives_no_answer_that_could_be_taken_for_one(
    site: Site, service: Service, settings: Settings
) -> None:
    """An empty list would say that nothing was revoked."""
    settings.JWT_AUTH_DENY_FEED = False
    answer = site.get("denials/", headers=service.headers)
    assert (answer.status_code, answer.json()["code"]) == (404, "feed_off")


@pytest.mark.parametrize("credential", ["none", "bearer", "wrong"])
def test_only_service_clients_read_it(
    site: Site, session: Session, service: Service, credential: str
) -> None:
    """It says who was logged out, and when."""
    headers: dict[str, Any] = {"none": {}, "bearer": session.bearer}.get(
        credential, {"Authorization": "Basic YTpi"}
    )
    answer = site.get("denials/", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_client")


def test_it_is_only_read(site: Site, service: Service) -> None:
    """No other method does anything."""
    assert site.post("denials/", headers=service.headers).status_code == 405


@pytest.mark.django_db(transaction=True)
def test_table_that_is_missing_is_503(site: Site, service: Service) -> None:
    """A service then keeps its last answer, and in the end refuses every token."""
    table = connection.ops.quote_name("jwt_auth_recordeddenial")
    away = connection.ops.quote_name("jwt_auth_away")
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO {away}")
    try:
        answer = site.get("denials/", headers=service.headers)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {away} RENAME TO {table}")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
