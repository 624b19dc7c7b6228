"""The check of the tables: `check --database` and `check --deploy`."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage
from django.core.management import call_command
from django.db import OperationalError, connection, connections
from django.db.models import IntegerField
from pytest_django import DjangoAssertNumQueries, Settings

from jwt_auth import startup
from jwt_auth.checks.database import check_databases, check_deployed_databases
from jwt_auth.models import RefreshTokenFamily, StoredKeyRing, TokenVersion, has_version_field
from tests.checks.scene import advice_of

pytestmark = [pytest.mark.sql, pytest.mark.smoke]

TABLE = StoredKeyRing._meta.db_table


@pytest.fixture
def old_model(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give a model a column that its table lacks, as before a migration."""
    all_meta: list[Any] = [StoredKeyRing._meta, get_user_model()._meta]

    def add(model: Any) -> None:
        meta = model._meta
        former = list(meta.local_fields)
        field = IntegerField(name="added", db_column="added")
        field.set_attributes_from_name("added")
        field.model = model
        monkeypatch.setattr(meta, "local_fields", [*former, field])
        meta._expire_cache()

    yield add
    monkeypatch.undo()
    for meta in all_meta:
        meta._expire_cache()


@pytest.fixture
def no_table(db: None, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have a model's table be missing."""
    monkeypatch.setattr(StoredKeyRing._meta, "db_table", "jwt_auth_nothing")
    return "jwt_auth_nothing"


def _only(messages: list[CheckMessage]) -> CheckMessage:
    (message,) = messages
    assert not message.is_serious()
    return message


def test_migrated_database_has_no_message(
    db: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """One statement for each model, in a savepoint each; no row is read."""
    assert check_deployed_databases(None) == []
    with django_assert_num_queries(3 * 5) as captured:
        assert check_databases(None, ["default"]) == []
    statements = [query["sql"] for query in captured if query["sql"].startswith("SELECT")]
    assert all(sql.rstrip().endswith("IS NULL") for sql in statements), statements


def test_missing_table_is_named_with_the_command(no_table: str) -> None:
    """The other tables are not."""
    message = _only(check_databases(None, ["default"]))
    assert message.id == "jwt_auth.W073"
    assert message.msg.endswith(f"lacks these tables, or columns of them: {no_table}.")
    assert advice_of(message) == "Run `manage.py migrate`"


def test_missing_column_is_a_missing_migration(old_model: Any) -> None:
    """The tables are of an older release."""
    old_model(StoredKeyRing)
    assert f": {TABLE}." in _only(check_databases(None, ["default"])).msg


def test_users_model_without_its_migration_has_both_commands(old_model: Any) -> None:
    """A project has added TokenVersionMixin to its model and not yet made the migration."""
    old_model(get_user_model())
    message = _only(check_databases(None, ["default"]))
    assert get_user_model()._meta.db_table in message.msg
    commands = "Run `manage.py makemigrations`, then `manage.py migrate`"
    assert advice_of(message) == (
        commands if has_version_field(get_user_model()) else "Run `manage.py migrate`"
    )


def test_transaction_of_the_caller_goes_on(no_table: str) -> None:
    """PostgreSQL ends a transaction with the first error in it."""
    assert check_databases(None, ["default"])
    assert not TokenVersion.objects.exists()


class Router:
    """Sends the sessions to another database, which has to be migrated itself."""

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "other"

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db == "other"


@pytest.fixture
def other(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Make another database, in memory and empty; give its settings."""
    described: dict[str, Any] = {
        **connection.settings_dict,
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": ":memory:",
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
    assert advice_of(message) == "Run `manage.py migrate --database=other`"
    assert check_databases(None, ["default"]) == []


def test_database_that_is_down_says_why(other: dict[str, Any], unblocked: None) -> None:
    """A check must not end with a traceback."""
    other["NAME"] = "/no/such/folder/db.sqlite3"
    message = _only(check_deployed_databases(None))
    assert message.id == "jwt_auth.W074"
    assert "'other' can't be used (unable to open database file)" in message.msg


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
    options: dict[str, Any], times: int, no_table: str
) -> None:
    """Plain `check` queries no database."""
    stream = io.StringIO()
    call_command("check", stderr=stream, stdout=stream, **options)
    assert stream.getvalue().count("jwt_auth.W073") == times


def test_all_databases_that_django_passes_by_itself_are_not_taken_for_asked(no_table: str) -> None:
    """Django 6.1 passes them to the checks of a deployment, and runs no others on them."""
    assert check_databases(None, ["default"])
    assert _only(check_deployed_databases(None, ["default"])).id == "jwt_auth.W073"
