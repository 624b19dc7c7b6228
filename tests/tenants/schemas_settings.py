"""A schema for each tenant, as docs/how-to/recipes/tenants/schemas.py sets it up."""

import runpy

from tests.tenants.settings import *
from tests.tenants.settings import BASE_DIR, DATABASES

# The page's names for a project's own apps, and those that they have here.
_OWN = {"customers": "tests.tenants.customers", "accounts": "example_project.accounts"}
_RECIPE = runpy.run_path(str(BASE_DIR / "docs/how-to/recipes/tenants/schemas.py"))

SHARED_APPS = [_OWN.get(app, app) for app in _RECIPE["SHARED_APPS"]]
TENANT_APPS = [_OWN.get(app, app) for app in _RECIPE["TENANT_APPS"]]
INSTALLED_APPS = [_OWN.get(app, app) for app in _RECIPE["INSTALLED_APPS"]]
TENANT_MODEL, TENANT_DOMAIN_MODEL = _RECIPE["TENANT_MODEL"], _RECIPE["TENANT_DOMAIN_MODEL"]
DATABASE_ROUTERS = _RECIPE["DATABASE_ROUTERS"]
DATABASES["default"]["ENGINE"] = "django_tenants.postgresql_backend"
MIDDLEWARE = [
    "django_tenants.middleware.main.TenantMainMiddleware",
    "tests.live.workers.name_worker",
    "django.middleware.common.CommonMiddleware",
]
ROOT_URLCONF = "tests.tenants.urls"
