"""The check of the tables: `check --database` and `check --deploy`."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import OperationalError, connection, connections, transaction
from pytest_django import DjangoAssertNumQueries, Settings

from jwt_auth import startup
from jwt_auth.checks.database import check_databases, check_deployed_databases
from jwt_auth.models import RefreshTokenFamily, StoredKeyRing, TokenVersion, has_version_field
from tests.checks.scene import advice_of

pytestmark = [pytest.mark.sql, pytest.mark.user_model, pytest.mark.smoke]

TABLE = StoredKeyRing._meta.db_table


@contextmanager
def _renamed(table: str, column: str = "") -> Iterator[None]:
    """Have a table be missing, or a column of it."""
    old, new = (f" COLUMN {column}", f"{column}_away") if column else ("", f"{table}_away")
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME{old} TO {new}")
        try:
            yield
        finally:
            if column:
                cursor.execute(f"ALTER TABLE {table} RENAME COLUMN {new} TO {column}")
            else:
                cursor.execute(f"ALTER TABLE {new} RENAME TO {table}")


@pytest.fixture
def no_table(transactional_db: None) -> Iterator[str]:
    """Have a table be missing; give its name."""
    with _renamed(TABLE):
        yield TABLE


def _only(messages: list[CheckMessage]) -> CheckMessage:
    (message,) = messages
    assert not message.is_serious()
    return message


def test_migrated_database_has_no_message(
    db: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """One statement for each model, in a savepoint each; no row is read."""
    assert check_deployed_databases(None) == []
    models = len([*apps.get_app_config("jwt_auth").get_models(), get_user_model()])
    with django_assert_num_queries(3 * models) as captured:
        assert check_databases(None, ["default"]) == []
    statements = [query["sql"] for query in captured if query["sql"].startswith("SELECT")]
    assert all(sql.rstrip().endswith("IS NULL") for sql in statements), statements


def test_missing_table_is_named_with_the_command(no_table: str) -> None:
    """The other tables are not."""
    message = _only(check_databases(None, ["default"]))
    assert message.id == "jwt_auth.W073"
    assert message.msg.endswith(f"lacks these tables, or columns of them: {no_table}.")
    assert advice_of(message) == "Run `manage.py migrate`"


def test_missing_column_is_a_missing_migration(transactional_db: None) -> None:
    """The tables are of an older release."""
    with _renamed(TABLE, "document"):
        assert f": {TABLE}." in _only(check_databases(None, ["default"])).msg


def test_users_model_without_its_migration_has_both_commands(transactional_db: None) -> None:
    """A project has added TokenVersionMixin to its model and not yet made the migration."""
    user_model = get_user_model()
    users = user_model._meta.db_table
    is_own = has_version_field(user_model)
    # Not the version's: MariaDB can't rename a column that has a CHECK.
    name: Any = user_model._meta.get_field(user_model.USERNAME_FIELD)
    with _renamed(name.model._meta.db_table, name.column):
        message = _only(check_databases(None, ["default"]))
    assert f": {users}." in message.msg
    commands = "`manage.py makemigrations`, then `manage.py migrate`"
    assert advice_of(message) == f"Run {commands if is_own else '`manage.py migrate`'}"


def test_transaction_of_the_caller_goes_on(no_table: str) -> None:
    """PostgreSQL ends a transaction with the first error in it."""
    with transaction.atomic():
        assert check_databases(None, ["default"])
        assert not TokenVersion.objects.exists()


class Router:
    """Sends all to another database, whose users are not Django's to migrate."""

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "other"

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db == "other" and app_label == "jwt_auth"


@pytest.fixture
def other(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[dict[str, Any]]:
    """Make another database, which is empty; give its settings.

    Not in memory: Django never closes the connection to a database that would be gone then.
    """
    described: dict[str, Any] = {
        **connection.settings_dict,
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(tmp_path / "other.sqlite3"),
        "OPTIONS": {},
    }
    monkeypatch.setitem(connections.settings, "other", described)
    settings.DATABASE_ROUTERS = [f"{__name__}.Router"]
    yield described
    connections["other"].close()
    del connections["other"]


@pytest.fixture
def unblocked(django_db_blocker: Any) -> Iterator[None]:
    """Let the test query the database that is not the tests' own."""
    with django_db_blocker.unblock():
        yield


def test_routers_say_which_database_needs_the_tables(
    other: dict[str, Any], unblocked: None
) -> None:
    """The hint's command migrates that one."""
    message = _only(check_deployed_databases(None))
    assert "'other' lacks" in message.msg
    assert RefreshTokenFamily._meta.db_table in message.msg
    assert get_user_model()._meta.db_table not in message.msg
    assert advice_of(message) == "Run `manage.py migrate --database=other`"


def test_database_that_is_down_says_why(other: dict[str, Any], unblocked: None) -> None:
    """A check must not end with a traceback."""
    other["NAME"] = "/no/such/folder/db.sqlite3"
    message = _only(check_deployed_databases(None))
    assert message.id == "jwt_auth.W074"
    assert "'other' can't be used (unable to open database file)" in message.msg


def test_database_without_a_name_says_why(
    other: dict[str, Any], unblocked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its settings are wrong."""

    def fail() -> None:
        raise ImproperlyConfigured("Please supply the NAME value.")

    monkeypatch.setattr(connections["other"], "connect", fail)
    assert "(Please supply the NAME value)" in _only(check_deployed_databases(None)).msg


@pytest.mark.parametrize(
    "said",
    [
        "wrong password hunter2",
        "can't connect to postgres://alice:pa%24@db/shop",
        "key s3cret is wrong",
        "",
    ],
)
def test_secret_in_what_a_driver_says_is_not_quoted(
    said: str, other: dict[str, Any], unblocked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """These texts reach logs."""
    other.update(PASSWORD="hunter2", OPTIONS={"ssl_password": "s3cret", "timeout": 5})

    def fail() -> None:
        raise OperationalError(said)

    monkeypatch.setattr(connections["other"], "connect", fail)
    assert _only(check_deployed_databases(None)).msg == "The database 'other' can't be used."


@pytest.mark.parametrize("command", ["migrate", "migrate_schemas"])
def test_command_that_makes_the_tables_is_not_told_that_they_are_missing(
    command: str, no_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Django runs the checks of the database before it migrates."""
    monkeypatch.setattr(startup, "_started_as", "command")
    monkeypatch.setattr(sys, "argv", ["manage.py", command])
    assert check_databases(None, ["default"]) == []


@pytest.mark.parametrize(
    ("options", "times"),
    [
        ({}, 0),
        ({"databases": ["default"]}, 1),
        ({"deploy": True}, 1),
        ({"deploy": True, "databases": ["default"]}, 1),
        ({"deploy": True, "databases": ["default"], "tags": ["jwt_auth"]}, 1),
    ],
)
def test_check_that_is_asked_for_it_reports_once(
    options: dict[str, Any], times: int, no_table: str, settings: Settings
) -> None:
    """Plain `check` queries no database."""
    # Ours and Django 6.1's about mails: the tests send none.
    settings.SILENCED_SYSTEM_CHECKS = ["jwt_auth.E110", "mail.E001"]
    stream = io.StringIO()
    call_command("check", stderr=stream, stdout=stream, **options)
    assert stream.getvalue().count("jwt_auth.W073") == times


def test_all_databases_that_django_passes_by_itself_are_not_taken_for_asked(no_table: str) -> None:
    """Django 6.1 passes them to the checks of a deployment, and runs no others on them."""
    assert check_databases(None, ["default"])
    assert _only(check_deployed_databases(None, ["default"])).id == "jwt_auth.W073"


def test_service_that_only_verifies_may_have_no_database(
    no_table: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that it has is checked. The settings DATABASES = {} mean an engine that does nothing."""
    settings.JWT_AUTH_JWKS_URL = "https://auth.example.com/.well-known/jwks.json"
    assert len(check_deployed_databases(None)) == 1
    engine = "django.db.backends.dummy"
    monkeypatch.setitem(connections.settings["default"], "ENGINE", engine)
    assert check_deployed_databases(None) == []
