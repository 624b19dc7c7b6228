"""The tables in the database: ``check --database ALIAS`` and ``check --deploy`` look at them.

Django's plain ``check`` queries no database, and neither do these.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, Error, connections, router, transaction
from django.db.models import Model

from jwt_auth.check_messages import warning
from jwt_auth.conf import conf
from jwt_auth.database_errors import misses_something, quote
from jwt_auth.models import has_version_field, write_database
from jwt_auth.startup import MIGRATIONS, this_process

_asked: Collection[str] | None = None


def check_databases(
    app_configs: object, databases: Collection[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check the databases that ``check --database`` names."""
    # Django tells the other function nothing of this one.
    global _asked  # noqa: PLW0603
    _asked = databases
    if this_process().command in MIGRATIONS:
        return []  # it is about to make the tables
    return [message for alias in databases or () for message in _check_database(alias)]


def check_deployed_databases(
    app_configs: object, databases: Collection[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check the databases that requests use, unless the function above has just run.

    Django passes the same list to every check of a run. Without ``--database``, Django 6.1 passes
    all databases instead of ``None``, but doesn't call the function above.
    """
    if databases is not None and databases is _asked:
        return []
    used = dict.fromkeys(write_database(model) for model in _models())
    if conf.jwks_url is not None:
        # A service that only verifies may have no database (DATABASES = {}).
        engines = {alias: connections.settings[alias]["ENGINE"] for alias in used}
        used = {alias: None for alias in used if engines[alias] != "django.db.backends.dummy"}
    return [message for alias in used for message in _check_database(alias)]


def _models() -> list[type[Model]]:
    return [*apps.get_app_config("jwt_auth").get_models(), get_user_model()]


def _check_database(alias: str) -> Iterator[CheckMessage]:
    models = [model for model in _models() if router.allow_migrate_model(alias, model)]
    try:
        missing = [model for model in models if _misses_something(alias, model)]
    except (Error, ImproperlyConfigured) as error:
        said = quote(error)
        yield warning(
            "W074",
            f"The database {alias!r} can't be used{f' ({said})' if said else ''}.",
            "Check that its server is up and can be reached, and check its entry in DATABASES.",
        )
        return
    if missing:
        tables = ", ".join(model._meta.db_table for model in missing)
        yield warning(
            "W073",
            f"The database {alias!r} lacks these tables, or columns of them: {tables}.",
            _remedy(alias, missing),
        )


def _misses_something(alias: str, model: type[Model]) -> bool:
    # No row has this key, so the database reads none; but it looks for the table and each column.
    rows = model._base_manager.using(alias).filter(pk=None)
    try:
        # In PostgreSQL, an error would spoil the transaction that the check may run in.
        with transaction.atomic(using=alias):
            list(rows)
    except Error as error:
        if misses_something(error):
            return True
        raise
    return False


def _remedy(alias: str, missing: list[type[Model]]) -> str:
    option = "" if alias == DEFAULT_DB_ALIAS else f" --database={alias}"
    migrate = f"`manage.py migrate{option}`"
    user_model = get_user_model()
    if missing == [user_model] and has_version_field(user_model):
        # Most often the model has just got TokenVersionMixin.
        return f"Run `manage.py makemigrations`, then {migrate}"
    return f"Run {migrate}"
