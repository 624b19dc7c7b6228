"""Sessions and service clients in Django's admin, which imports this module by itself."""

from jwt_auth.admin.service_clients import ServiceClientAdmin
from jwt_auth.admin.sessions import SessionAdmin

__all__ = ["ServiceClientAdmin", "SessionAdmin"]
