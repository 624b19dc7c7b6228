"""The schema of the request's tenant, for a thread or a worker, which has no request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connections

from jwt_auth.models import write_database


def current_schema() -> str | None:
    """Return the schema that django-tenants has set, or ``None`` without django-tenants."""
    schema: str | None = getattr(_connection(), "schema_name", None)
    return schema


@contextmanager
def inside_schema(schema: str | None) -> Iterator[None]:
    """Have the users' connection look into a schema, and into the former one afterwards."""
    former = current_schema()
    if schema is None or former is None:
        yield
        return
    _connection().set_schema(schema)
    try:
        yield
    finally:
        _connection().set_schema(former)


def _connection() -> Any:
    return connections[write_database(get_user_model())]
