"""Settings of the example project, from environment variables.

In a fresh clone, `manage.py` needs no variable. A server needs SECRET_KEY and ALLOWED_HOSTS.
docs/how-to/run-the-example.md lists the others.
"""

import os
from pathlib import Path
from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from example_project import environment

BASE_DIR = Path(__file__).resolve().parent.parent

# By default, the SQLite file and the key ring are in this folder.
DATA_DIR = Path(os.environ.get("EXAMPLE_DATA_DIR") or BASE_DIR / ".demo").resolve()

DEBUG = environment.flag(os.environ, "DEBUG", default=False)
SECRET_KEY = os.environ.get("SECRET_KEY", "")
if not SECRET_KEY and DEBUG:
    # Not a secret, since it is published here; the prefix makes Django's deployment check warn.
    SECRET_KEY = "django-insecure-only-for-the-demo-of-jwt-auth-on-your-own-machine"
if not SECRET_KEY:
    raise ImproperlyConfigured("Set the environment variable SECRET_KEY, or DEBUG=1 for a try.")
SECRET_KEY_FALLBACKS = environment.items(os.environ, "SECRET_KEY_FALLBACKS")

ALLOWED_HOSTS = environment.items(os.environ, "ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = environment.items(os.environ, "CSRF_TRUSTED_ORIGINS")
FORCE_SCRIPT_NAME = os.environ.get("FORCE_SCRIPT_NAME") or None

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "jwt_auth",
    "example_project.accounts",
    "example_project.demo",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    # After the sessions and before CommonMiddleware, as Django's documentation says.
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "example_project.urls"
WSGI_APPLICATION = "example_project.wsgi.application"
ASGI_APPLICATION = "example_project.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]


# Storage


def _database() -> dict[str, Any]:
    """Return the default database: DATABASE_URL, or a SQLite file in the data directory."""
    url = os.environ.get("DATABASE_URL")
    if not url:
        # Mode 0700, because the key ring is in the same folder.
        try:
            DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ImproperlyConfigured(
                f"{DATA_DIR} can't be created ({error.strerror}): set EXAMPLE_DATA_DIR to a folder"
                " that you can write to."
            ) from error
        url = f"sqlite:///{DATA_DIR / 'db.sqlite3'}"
    database: dict[str, Any] = dict(
        dj_database_url.parse(
            url,
            # Django's development server starts a thread per request, each with its connection.
            conn_max_age=environment.number(os.environ, "CONN_MAX_AGE", default=0 if DEBUG else 60),
            conn_health_checks=True,
        )
    )
    database["ATOMIC_REQUESTS"] = environment.flag(os.environ, "ATOMIC_REQUESTS", default=False)
    if database["ENGINE"] == "django.db.backends.sqlite3":
        # Several processes may write. They wait for each other instead of failing, and take the
        # write lock when a transaction begins, because SQLite refuses to wait for it later.
        database["OPTIONS"] = {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
        } | database.get("OPTIONS", {})
    return database


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
}
if REDIS_URL := os.environ.get("REDIS_URL"):
    CACHES["default"] = {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        # Seconds. Redis only makes requests faster, so they continue without it rather than wait.
        "OPTIONS": {"SOCKET_CONNECT_TIMEOUT": 0.5, "SOCKET_TIMEOUT": 0.5},
    }


# Users and passwords

AUTH_USER_MODEL = "accounts.User"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher",
    "django.contrib.auth.hashers.ScryptPasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]


# The API

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["jwt_auth.authentication.JWTAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "jwt_auth.openapi.protected.ProtectedSchema",
    "EXCEPTION_HANDLER": "jwt_auth.http.exception_handler.exception_handler",
    # The number of reverse proxies in front of the server. With 0, X-Forwarded-For is ignored,
    # because any client can set it.
    "NUM_PROXIES": environment.number(os.environ, "NUM_PROXIES", default=0),
}

SPECTACULAR_SETTINGS = {
    "TITLE": "The example of jwt_auth",
    "DESCRIPTION": "The endpoints of jwt_auth, and the views that they protect.",
    "VERSION": "1",
    "SERVE_AUTHENTICATION": [],
    "SERVE_INCLUDE_SCHEMA": False,
    # Relative to the schema's own address.
    "SERVERS": [{"url": FORCE_SCRIPT_NAME}] if FORCE_SCRIPT_NAME else [],
    # The files of the package drf-spectacular-sidecar instead of those of a content network.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    # A token that somebody enters is forgotten with the page.
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "persistAuthorization": False},
}

JWT_AUTH_ISSUER = "https://auth.example.test"
JWT_AUTH_AUDIENCE = "example-api"
JWT_AUTH_KEY_STORE = {
    "BACKEND": "jwt_auth.keys.stores.file.FileKeyStore",
    "OPTIONS": {"PATH": str(DATA_DIR / "keys")},
}
JWT_AUTH_CLAIMS = "example_project.accounts.claims.claims_of"
JWT_AUTH_SESSION_LIFETIMES = "example_project.accounts.lifetimes.lifetimes_of"
# The page that the links in mails open. Not from the Host header, which a client chooses. The token
# is in the fragment, which browsers don't send, so no server's log has it.
PAGE_URL = os.environ.get("PAGE_URL") or environment.page_of(ALLOWED_HOSTS)
JWT_AUTH_PASSWORD_RESET_URL = f"{PAGE_URL}#reset={{token}}"
JWT_AUTH_EMAIL_CONFIRMATION_URL = f"{PAGE_URL}#confirm={{token}}"
if REDIS_URL:
    JWT_AUTH_REVOCATION = {
        "BACKEND": "jwt_auth.revocation.redis.RedisRevocation",
        "OPTIONS": {"CACHE": "default"},
    }
# At the end, so that the environment overrides the settings above.
globals().update(environment.jwt_auth_settings(os.environ))


# Mail

# With DEBUG and without a server, the terminal shows the mails. Without DEBUG nothing does: their
# links would be in a log.
PRINTS_MAIL = DEBUG and not os.environ.get("EMAIL_HOST")
globals().update(
    environment.mail_settings(
        os.environ, printed_by="example_project.demo.mail.TerminalBackend" if PRINTS_MAIL else None
    )
)
DEFAULT_FROM_EMAIL = os.environ.get("DEFAULT_FROM_EMAIL") or "jwt_auth <noreply@example.test>"


# HTTP

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
SESSION_COOKIE_SECURE = not DEBUG
CSRF_COOKIE_SECURE = not DEBUG
# Off by default. Only the operator of the proxy knows whether it serves TLS. And every browser that
# has seen an HSTS header refuses plain HTTP until the header's time has passed.
SECURE_SSL_REDIRECT = environment.flag(os.environ, "SECURE_SSL_REDIRECT", default=False)
SECURE_HSTS_SECONDS = environment.number(os.environ, "SECURE_HSTS_SECONDS", default=0)
if environment.flag(os.environ, "TRUST_X_FORWARDED_PROTO", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")


# Language and time

# LocaleMiddleware takes a request's language from this list.
LANGUAGE_CODE = "en"
LANGUAGES = [
    ("de", "German"),
    ("en", "English"),
    ("es", "Spanish"),
    ("fr", "French"),
    ("ja", "Japanese"),
    ("zh-hans", "Simplified Chinese"),
]
USE_I18N = True
USE_TZ = environment.flag(os.environ, "USE_TZ", default=True)
TIME_ZONE = "UTC"


# Logging: everything to standard error, which a container's log collector reads. `manage.py` sets
# the level for commands, whose standard error is an operator's terminal.

LOG_LEVEL = environment.choice(
    os.environ, "LOG_LEVEL", among=environment.LOG_LEVELS, default="INFO"
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "level": LOG_LEVEL,
        },
    },
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "django": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "jwt_auth": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "jwt_auth.security": {"level": "INFO"},
    },
}
