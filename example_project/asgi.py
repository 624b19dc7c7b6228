"""The ASGI application, for any ASGI server; set CONN_MAX_AGE=0 with it."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")

application = get_asgi_application()
