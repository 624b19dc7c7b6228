"""Several tenants in one process: what both ways of keeping them apart have in common."""

import os

from example_project import environment
from tests.live.settings import *
from tests.live.settings import CACHES

ALLOWED_HOSTS = [".example.com"]
JWT_AUTH_CLAIMS = None  # type: ignore[assignment]  # a dotted path in the example
JWT_AUTH_NEW_DEVICE_HOOK = "tests.tenants.hook.note"
JWT_AUTH_PASSWORD_RESET_URL = "https://app.example.com/reset#token={token}"
JWT_AUTH_THROTTLE_RATES = {"login_address": None, "refresh": None, "login_account": "2/hour"}
CACHES["revocation"] = {
    "BACKEND": "django_redis.cache.RedisCache",
    "LOCATION": os.environ["TENANTS_REDIS_URL"],
}
globals().update(
    environment.mail_settings({}, printed_by="django.core.mail.backends.locmem.EmailBackend")
)
