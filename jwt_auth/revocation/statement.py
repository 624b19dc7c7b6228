"""The one SELECT that brings a user together with the verdict on their token.

Django's ORM composes it, once for each database and user model: composing it anew at every request
takes longer than PostgreSQL takes to answer. What differs from request to request stands in it as
slots, and each row goes back through the converters that the ORM chose, so that the user is what
``User.objects.get()`` would have given.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.core.signals import setting_changed
from django.db import connections
from django.db.models import Expression, Field, OuterRef, Subquery
from django.db.models.sql.compiler import SQLCompiler

from jwt_auth.models import (
    RefreshTokenFamily,
    RevokedToken,
    TokenVersion,
    has_version_field,
    write_database,
)
from jwt_auth.tokens.claims import AccessToken


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the database says of a token: its user, and whether session and token still count."""

    user: AbstractBaseUser
    token_version: int
    session_is_live: bool
    token_is_revoked: bool


class _Slot(Expression):
    """A parameter whose value each execution brings."""

    def __init__(self, name: str, output_field: Field[Any, Any]) -> None:
        super().__init__(output_field=output_field)
        self.name = name

    def as_sql(self, compiler: SQLCompiler, connection: Any, **extra: Any) -> tuple[str, list[Any]]:  # type: ignore[override]  # params are typed as values; this one is not yet one
        return "%s", [self]


def find_standing(token: AccessToken) -> Standing | None:
    """Run the statement; ``None`` where there is no such user, or none can have such an id."""
    user_model = get_user_model()
    # A default manager that filters may do so by the time or the tenant: never by yesterday's.
    filters = bool(user_model._default_manager.get_queryset().query.where)
    compose = _Statement if filters else _compose
    statement = compose(write_database(user_model), user_model)
    try:
        return statement.execute(user=token.subject, session=token.session_id, jti=token.jti)
    except (ValidationError, ValueError, OverflowError):
        return None  # a subject that the user model's key has no form for


class _Statement:
    """The composed SELECT of one database and user model."""

    def __init__(self, database: str, user_model: type[AbstractBaseUser]) -> None:
        self._database = database
        queryset = _queryset(user_model).using(database)
        compiler = queryset.query.get_compiler(using=database)
        self._sql, self._params = compiler.as_sql()
        self._annotations = compiler.annotation_col_map
        fields = compiler.klass_info["select_fields"]
        self._fields = slice(fields[0], fields[-1] + 1)
        columns = [expression for expression, _, _ in compiler.select]
        self._attributes = [column.target.attname for column in columns[self._fields]]
        self._converters = [
            (position, converters, expression)
            for position, (converters, expression) in compiler.get_converters(columns).items()
        ]
        self._model: type[AbstractBaseUser] = compiler.klass_info["model"]

    def execute(self, **values: Any) -> Standing | None:
        connection = connections[self._database]
        params = [
            param.output_field.get_db_prep_value(values[param.name], connection)
            if isinstance(param, _Slot)
            else param
            for param in self._params
        ]
        with connection.cursor() as cursor:
            cursor.execute(self._sql, params)
            found = cursor.fetchone()
        if found is None:
            return None
        row = list(found)
        for position, converters, expression in self._converters:
            for converter in converters:
                row[position] = converter(row[position], expression, connection)
        user = self._model.from_db(self._database, self._attributes, row[self._fields])
        annotations = {name: row[position] for name, position in self._annotations.items()}
        version = annotations.get("standing_version", getattr(user, "token_version", None))
        return Standing(
            user=user,
            token_version=version or 0,
            session_is_live=annotations["standing_session"] is not None,
            token_is_revoked=annotations["standing_jti"] is not None,
        )


def _queryset(user_model: type[AbstractBaseUser]) -> Any:
    key = user_model._meta.pk
    family_key = RefreshTokenFamily._meta.pk
    # By primary key, so each gives one value or none; EXISTS would take PostgreSQL longer to plan.
    families = RefreshTokenFamily.objects.filter(
        pk=_Slot("session", family_key), user=OuterRef("pk"), revoked_at=None
    )
    denials = RevokedToken.objects.filter(pk=_Slot("jti", RevokedToken._meta.pk))
    users = user_model._default_manager.annotate(
        standing_session=Subquery(families.values("pk")),
        standing_jti=Subquery(denials.values("pk")),
    )
    if not has_version_field(user_model):
        versions = TokenVersion.objects.filter(user=OuterRef("pk"))
        users = users.annotate(standing_version=Subquery(versions.values("token_version")))
    return users.filter(pk=_Slot("user", key))


@lru_cache(maxsize=16)
def _compose(database: str, user_model: type[AbstractBaseUser]) -> _Statement:
    return _Statement(database, user_model)


def _forget(*, setting: str, **kwargs: Any) -> None:
    # The converters hold on to the time zone that they were chosen under.
    if setting in {"AUTH_USER_MODEL", "DATABASES", "TIME_ZONE", "USE_TZ"}:
        _compose.cache_clear()


setting_changed.connect(_forget, dispatch_uid="jwt_auth.revocation.statement")
