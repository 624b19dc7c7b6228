"""Keys or tables that are away at request time: 503 in JSON, the reason in the log only."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from pytest_django import Settings

from jwt_auth import retries
from jwt_auth.keys import cache
from jwt_auth.models import RefreshTokenFamily
from tests.http.site import COOKIE, Session, Site, everything
from tests.settings import SCRATCH_DIR

pytestmark = [pytest.mark.sql, pytest.mark.smoke]

UNAVAILABLE = {
    "detail": "The service is not available at the moment.",
    "code": "unavailable",
}
TABLE = RefreshTokenFamily._meta.db_table


@pytest.fixture(params=["missing", "exposed", "torn"])
def broken_keys(
    request: pytest.FixtureRequest, session: Session, settings: Settings, tmp_path: Path
) -> Iterator[tuple[Path, str]]:
    """A key store that gives no keys, and what the log has to say about it."""
    folder = tmp_path / "keys"
    if request.param != "missing":
        shutil.copytree(SCRATCH_DIR / "keys", folder)
        folder.chmod(0o700)
    if request.param == "exposed":
        (folder / "ring.json").chmod(0o644)
    if request.param == "torn":
        (folder / "ring.json").write_text("{")
    options = {"PATH": str(folder)}
    settings.JWT_AUTH_KEY_STORE = {**settings.JWT_AUTH_KEY_STORE, "OPTIONS": options}
    say = {"missing": "manage.py generate_keys", "exposed": "chmod 600", "torn": "not a JSON"}
    yield folder, say[request.param]
    cache.reset()


def _is_unavailable(answer: Any) -> bool:
    return bool(answer.status_code == 503 and answer.json() == UNAVAILABLE and not answer.cookies)


def _errors(log: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in log.records
        if record.name == "jwt_auth" and record.levelname == "ERROR"
    ]


def test_broken_keys_are_503_and_the_log_says_what_to_do(
    broken_keys: tuple[Path, str],
    site: Site,
    session: Session,
    credentials: dict[str, str],
    log: pytest.LogCaptureFixture,
) -> None:
    """The client learns nothing, the operator the path and the remedy; nobody is logged in."""
    folder, remedy = broken_keys
    before = everything()
    for answer in (
        site.get("me/", headers=session.bearer),
        site.get("/.well-known/jwks.json"),
        site.post("login/", credentials),
    ):
        assert _is_unavailable(answer)
    errors = _errors(log)
    assert len(errors) == 3
    assert all(str(folder) in error and remedy in error for error in errors)
    assert everything()[0] == before[0]


@pytest.mark.parametrize("token", ["garbage", "a.b.c", f"{'x' * 9000}"])
def test_malformed_token_is_401_without_a_look_at_broken_keys(
    token: str, broken_keys: tuple[Path, str], site: Site, log: pytest.LogCaptureFixture
) -> None:
    """Such requests would otherwise load the ring again and again, and fill the log."""
    answer = site.get("me/", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    assert answer.json()["code"] == "invalid_token"
    assert _errors(log) == []


def test_refresh_token_survives_broken_keys(
    broken_keys: tuple[Path, str],
    site: Site,
    session: Session,
    settings: Settings,
) -> None:
    """It is not consumed: the retry works once the keys are back."""
    before = everything()
    assert _is_unavailable(site.post("refresh/"))
    assert everything() == before
    options = {"PATH": str(SCRATCH_DIR / "keys")}
    settings.JWT_AUTH_KEY_STORE = {**settings.JWT_AUTH_KEY_STORE, "OPTIONS": options}
    assert site.post("refresh/").status_code == 200


def test_refresh_token_survives_claims_that_cannot_be_issued(
    site: Site, session: Session, settings: Settings, log: pytest.LogCaptureFixture
) -> None:
    """A fault in the project's own callable is the log's business, too."""
    before = everything()
    settings.JWT_AUTH_CLAIMS = "builtins.id"
    assert _is_unavailable(site.post("refresh/"))
    assert everything() == before
    assert "JWT_AUTH_CLAIMS must be a dict." in log.text


@pytest.fixture
def no_table(transactional_db: None, session: Session) -> Iterator[None]:
    """The tables as before the first `migrate`, after a log-in."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {TABLE} RENAME TO away")
    yield
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE away RENAME TO {TABLE}")


def test_missing_tables_are_503_and_the_log_names_migrate(
    no_table: None,
    site: Site,
    session: Session,
    credentials: dict[str, str],
    log: pytest.LogCaptureFixture,
) -> None:
    """For every endpoint that needs them, and no cookie is touched."""
    for method, path, body in (
        ("post", "login/", credentials),
        ("post", "refresh/", None),
        ("post", "logout/", None),
        ("get", "me/", None),
        ("get", "sessions/", None),
    ):
        headers = session.bearer if method == "get" else {}
        answer = getattr(site, method)(path, body, headers=headers)
        assert _is_unavailable(answer), answer.content
        assert _errors(log) == [
            "The tables of jwt_auth are missing or old: run `manage.py migrate`."
        ]
        log.clear()
    assert COOKIE in site.cookies


#: How a connection is told not to wait for long, and how another one locks the table.
_LOCKS = {
    "postgresql": ("SET lock_timeout = '50ms'", "LOCK TABLE {} IN ACCESS EXCLUSIVE MODE"),
    "mysql": ("SET SESSION innodb_lock_wait_timeout = 1", "SELECT * FROM {} FOR UPDATE"),
    "sqlite": ("PRAGMA busy_timeout = 50", "UPDATE {} SET revoked_at = revoked_at"),
}
_WAIT_AGAIN = {
    "postgresql": "SET lock_timeout = 0",
    "mysql": "SET SESSION innodb_lock_wait_timeout = 50",
    "sqlite": "PRAGMA busy_timeout = 5000",
}


@pytest.fixture
def locked_table(
    transactional_db: None, session: Session, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Somebody else keeps a lock on the sessions."""
    monkeypatch.setattr(retries, "_ATTEMPTS", 1)
    hurry, lock = _LOCKS[connection.vendor]
    is_locked, is_over = Event(), Event()

    def keep_lock() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(lock.format(TABLE))
            is_locked.set()
            is_over.wait()
        connection.close()

    keeper = Thread(target=keep_lock)
    keeper.start()
    try:
        is_locked.wait()
        with connection.cursor() as cursor:
            cursor.execute(hurry)
        yield
    finally:
        is_over.set()
        keeper.join()
        with connection.cursor() as cursor:
            cursor.execute(_WAIT_AGAIN[connection.vendor])


def test_lock_that_is_waited_for_is_no_missing_table(
    locked_table: None, site: Site, log: pytest.LogCaptureFixture
) -> None:
    """The error names the table, too."""
    assert _is_unavailable(site.post("refresh/"))
    (said,) = _errors(log)
    assert said.startswith("The database is busy")


def test_command_that_waits_for_a_lock_asks_for_no_migration(locked_table: None) -> None:
    """One sentence, and what the database said."""
    with pytest.raises(CommandError, match=r"database is busy.*The database said: ") as raised:
        call_command("revoke_tokens", "--all")
    assert "migrate" not in str(raised.value)


def test_logout_with_broken_keys_ends_the_cookies_session_all_the_same(
    broken_keys: tuple[Path, str], site: Site, session: Session, log: pytest.LogCaptureFixture
) -> None:
    """The bearer token can't be judged, the refresh token can, and the cookie goes."""
    answer = site.post("logout/", headers=session.bearer | session.cookie)
    assert answer.status_code == 204
    assert answer.cookies[COOKIE].value == ""
    assert RefreshTokenFamily.objects.get().revocation_reason == "logout"
    assert len(_errors(log)) == 1


def test_logout_with_broken_keys_and_an_access_token_alone_is_204(
    broken_keys: tuple[Path, str], site: Site, session: Session, log: pytest.LogCaptureFixture
) -> None:
    """Nobody can say whose it is; the log says why the session goes on."""
    before = everything()
    answer = site.post("logout/", headers=session.bearer | {"Cookie": "other=1"})
    assert answer.status_code == 204
    assert everything() == before
    (error,) = _errors(log)
    assert error.startswith("An access token can't be verified, nor its session ended: ")
