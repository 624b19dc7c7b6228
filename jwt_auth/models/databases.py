"""Which database decides."""

from __future__ import annotations

from django.db import models, router


def write_database(model: type[models.Model]) -> str:
    """The database to read before a decision: a replica may lag behind a revocation."""
    return router.db_for_write(model)
