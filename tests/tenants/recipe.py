"""The router and the middleware of docs/how-to/recipes/tenants/databases.py."""

import runpy
from pathlib import Path

_PATH = Path(__file__).resolve().parents[2] / "docs/how-to/recipes/tenants/databases.py"
_RECIPE = runpy.run_path(str(_PATH))

TenantRouter = _RECIPE["TenantRouter"]
tenant_middleware = _RECIPE["tenant_middleware"]
in_database = _RECIPE["_database"]
