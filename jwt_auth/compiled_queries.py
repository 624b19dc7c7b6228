"""Compile a query of Django's ORM to SQL once, and run it with other values each time.

The ORM takes longer to compile a query than PostgreSQL takes to answer it, and the queries of a
request and of a refresh are always the same. The values that differ are slots in the statement. The
rows go through the converters and populators that the ORM chose, so the instances are the same as
those of the queryset.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from django.core.signals import setting_changed
from django.db import connections, transaction
from django.db.models import Expression, Field, Model, QuerySet
from django.db.models.query import get_related_populators
from django.db.models.sql import UpdateQuery
from django.db.models.sql.compiler import SQLCompiler

_Compiled = TypeVar("_Compiled")


class Slot(Expression):
    """A parameter that gets its value at each execution; its field prepares the value."""

    def __init__(self, name: str, output_field: Field[Any, Any]) -> None:
        super().__init__(output_field=output_field)
        self.name = name

    def as_sql(self, compiler: SQLCompiler, connection: Any, **extra: Any) -> tuple[str, list[Any]]:  # type: ignore[override]  # params are typed as values; this one is not yet one
        return "%s", [self]


class _Parameters:
    """The parameters of a statement: fixed values, and slots. A slot may occur more than once."""

    def __init__(self, params: Sequence[Any]) -> None:
        self._fixed = [None if isinstance(param, Slot) else param for param in params]
        self._slots: dict[str, tuple[Field[Any, Any], list[int]]] = {}
        for place, param in enumerate(params):
            if isinstance(param, Slot):
                self._slots.setdefault(param.name, (param.output_field, []))[1].append(place)

    def fill(self, values: Mapping[str, Any], connection: Any) -> list[Any]:
        """Put a value into each slot; each value is prepared for the database once."""
        filled = self._fixed.copy()
        for name, (field, places) in self._slots.items():
            value = field.get_db_prep_save(values[name], connection)
            for place in places:
                filled[place] = value
        return filled


class Select:
    """A compiled queryset, with related instances and annotations."""

    def __init__(self, queryset: QuerySet[Any]) -> None:
        self._database = queryset.db
        compiler = queryset.query.get_compiler(using=queryset.db)
        self._sql, params = compiler.as_sql()
        self._params = _Parameters(params)
        info: Any = compiler.klass_info
        self._model: type[Model] = info["model"]
        self._fields = slice(info["select_fields"][0], info["select_fields"][-1] + 1)
        columns: list[Any] = [expression for expression, _, _ in compiler.select or ()]
        self._attributes = [column.target.attname for column in columns[self._fields]]
        self._annotations = dict(compiler.annotation_col_map or {})
        related: Any = get_related_populators
        # Since Django 6.1, a queryset has a mode of fetching deferred fields and passes it on.
        mode = [queryset._fetch_mode] if hasattr(queryset, "_fetch_mode") else []
        self._related = related(info, compiler.select, queryset.db, *mode)
        self._converters = [
            (position, converters, expression)
            for position, (converters, expression) in compiler.get_converters(columns).items()
        ]

    def fetch(self, **values: Any) -> list[Any]:
        """Run the statement with a value for each slot, and return the instances.

        Raises:
            ValueError, ValidationError, OverflowError: a field can't hold its value.
        """
        connection = connections[self._database]
        with connection.cursor() as cursor:
            cursor.execute(self._sql, self._params.fill(values, connection))
            rows = cursor.fetchall()
        return [self._instance(list(row), connection) for row in rows]

    def _instance(self, row: list[Any], connection: Any) -> Any:
        for position, converters, expression in self._converters:
            for converter in converters:
                row[position] = converter(row[position], expression, connection)
        instance = self._model.from_db(self._database, self._attributes, row[self._fields])
        for related in self._related:
            related.populate(row, instance)
        for name, position in self._annotations.items():
            setattr(instance, name, row[position])
        return instance


class Update:
    """A compiled UPDATE of the rows of a queryset."""

    def __init__(self, queryset: QuerySet[Any], changes: Mapping[str, Slot]) -> None:
        self._database = queryset.db
        query: Any = queryset.query.chain(UpdateQuery)
        query.add_update_values(dict(changes))
        self._sql, params = query.get_compiler(using=queryset.db).as_sql()
        self._params = _Parameters(params)

    def execute(self, **values: Any) -> int:
        """Run the statement with a value for each slot; return the number of matching rows."""
        connection = connections[self._database]
        with (
            transaction.mark_for_rollback_on_error(using=self._database),
            connection.cursor() as cursor,
        ):
            cursor.execute(self._sql, self._params.fill(values, connection))
            return int(cursor.rowcount)


def compiled_once(compile_: Callable[..., _Compiled]) -> Callable[..., _Compiled]:
    """Keep the result of ``compile_`` for each combination of arguments."""
    kept = lru_cache(maxsize=16)(compile_)
    _kept.append(kept)
    return kept


#: The caches to clear when a setting changes that the statements depend on.
_kept: list[Any] = []


def _forget(*, setting: str, **kwargs: Any) -> None:
    # The converters keep the time zone that was set when they were chosen.
    if setting in {"AUTH_USER_MODEL", "DATABASES", "TIME_ZONE", "USE_TZ"}:
        for kept in _kept:
            kept.cache_clear()


setting_changed.connect(_forget, dispatch_uid="jwt_auth.compiled_queries")
