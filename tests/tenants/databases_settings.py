"""A database for each tenant, as docs/how-to/recipes/tenants/databases.py sets it up."""

import dj_database_url

from tests.tenants.settings import *
from tests.tenants.settings import MIDDLEWARE

DATABASES = {
    alias: dict(dj_database_url.config(variable))
    for alias, variable in (
        ("default", "DATABASE_URL"),
        ("tenant_a", "TENANT_A_URL"),
        ("tenant_b", "TENANT_B_URL"),
    )
}
DATABASE_ROUTERS = ["tests.tenants.recipe.TenantRouter"]
MIDDLEWARE = ["tests.tenants.recipe.tenant_middleware", *MIDDLEWARE]
ROOT_URLCONF = "tests.tenants.urls"
