"""Settings: a schema for each tenant, with django-tenants on PostgreSQL."""

SHARED_APPS = ["django_tenants", "customers"]  # the app with your TenantMixin model

TENANT_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "accounts",  # AUTH_USER_MODEL
    "jwt_auth",
    "rest_framework",
]

INSTALLED_APPS = [*SHARED_APPS, *TENANT_APPS]
TENANT_MODEL = "customers.Customer"
TENANT_DOMAIN_MODEL = "customers.Domain"
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
