"""The settings of a project that has both packages, so that everything else is the same."""

import os
import secrets
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import dj_database_url
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from redis import Redis, RedisError

SECRET_KEY = secrets.token_urlsafe(48)
DEBUG = False
ALLOWED_HOSTS = ["bench.test"]
ROOT_URLCONF = "benchmarks.urls"
USE_TZ = True

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "rest_framework",
    "rest_framework_simplejwt",
    "rest_framework_simplejwt.token_blacklist",
    "jwt_auth",
    "example_project.accounts",
]

# The default of `django-admin startproject`.
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

# The connection stays open, as in a server's worker process.
DATABASES: dict[str, Any] = {
    "default": dict(dj_database_url.parse(os.environ["DATABASE_URL"], conn_max_age=None))
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
#: The example's user model has TokenVersionMixin. For Django's user model, the token version is in
#: a separate table, so that the statement of a request has one more lookup.
AUTH_USER_MODEL = os.environ["BENCH_USER_MODEL"]

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_THROTTLE_CLASSES": [],
}

# jwt_auth with its defaults: ES256, DatabaseRevocation.
JWT_AUTH_ISSUER = "https://auth.bench.test"
JWT_AUTH_AUDIENCE = "bench-api"
KEYS = str(Path(tempfile.gettempdir()) / f"jwt_auth-bench-{os.getpid()}")
JWT_AUTH_KEY_STORE = {
    "BACKEND": "jwt_auth.keys.stores.file.FileKeyStore",
    "OPTIONS": {"PATH": KEYS},
}
JWT_AUTH_THROTTLE_RATES = dict.fromkeys(
    ("login_account", "login_address", "refresh", "password_reset", "service_client")
)

# simplejwt with its defaults, except for the same algorithm and lifetimes as jwt_auth's, and for
# refresh tokens that rotate.
_key = generate_private_key(SECP256R1())
SIMPLE_JWT = {
    "ALGORITHM": "ES256",
    "SIGNING_KEY": _key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    "VERIFYING_KEY": _key.public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode(),
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=15),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=7),
    "ROTATE_REFRESH_TOKENS": True,
    "BLACKLIST_AFTER_ROTATION": True,
}


# Redis, if a server is found

REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")


def answers(url: str) -> bool:
    try:
        return bool(Redis.from_url(url, socket_timeout=1).ping())
    except RedisError:
        return False


REDIS_IS_THERE = answers(REDIS_URL)
CACHES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
}
if REDIS_IS_THERE:
    CACHES["redis"] = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": REDIS_URL}
REDIS_OPTIONS = {"CACHE": "redis", "PREFIX": f"jwt_auth_bench_{os.getpid()}"}
REDIS_REVOCATION = {
    "BACKEND": "jwt_auth.revocation.redis.RedisRevocation",
    "OPTIONS": REDIS_OPTIONS,
}
