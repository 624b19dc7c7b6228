"""A database for each tenant, chosen by the request's host."""

from contextvars import ContextVar

DATABASES_BY_HOST = {"a.example.com": "tenant_a", "b.example.com": "tenant_b"}

_database = ContextVar("database", default="default")


class TenantRouter:
    """Sends every model to the database of the request's tenant."""

    def db_for_read(self, model, **hints):
        if model._meta.model_name == "storedkeyring":
            return "default"  # one ring for all tenants, if the ring is in the database
        return _database.get()

    db_for_write = db_for_read


def tenant_middleware(get_response):
    """Choose the database by the host. Put this first in MIDDLEWARE."""

    def middleware(request):
        token = _database.set(DATABASES_BY_HOST.get(request.get_host(), "default"))
        try:
            return get_response(request)
        finally:
            _database.reset(token)

    return middleware
