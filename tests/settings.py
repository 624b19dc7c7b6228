"""The example project's settings, made fit for tests.

The jobs (tests/jobs.py) set DATABASE_URL and TEST_USER_MODEL. Without them the tests run on SQLite
with the example's own user model.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

# Before the example's settings are read: they refuse to start without a secret, and this one is
# as long as a real one.
os.environ["SECRET_KEY"] = "only-for-tests-" + "0123456789abcdef" * 4
os.environ["DEBUG"] = "0"

from example_project.settings import *
from example_project.settings import DATABASES, INSTALLED_APPS, PASSWORD_HASHERS

_OWNER = os.getpid()


def _remove(folder: str) -> None:
    # A test's child process that was forked runs this too, and must leave its parent's files alone.
    if os.getpid() == _OWNER:
        shutil.rmtree(folder, ignore_errors=True)


# Keys and, with SQLite, the database of this one run. mkdtemp makes it 0700.
SCRATCH_DIR = Path(tempfile.mkdtemp(prefix="jwt_auth-tests-"))
atexit.register(_remove, str(SCRATCH_DIR))

ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1", ".example.com"]


# Databases: a name of this run's own, so that two runs on one server don't meet

DATABASES["default"]["TEST"] = {
    "NAME": (
        # A file: threads that write at once need one, and so do servers that a test starts.
        str(SCRATCH_DIR / "db.sqlite3")
        if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3"
        else f"test_jwt_auth_{_OWNER}"
    ),
}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}


# Users

TEST_USER_MODEL = os.environ.get("TEST_USER_MODEL", "accounts.User")
AUTH_USER_MODEL = TEST_USER_MODEL
# The devices of the recipe in docs/how-to/second-factor.md.
_OTP = ["django_otp", "django_otp.plugins.otp_totp", "django_otp.plugins.otp_static"]
INSTALLED_APPS = [*INSTALLED_APPS, *_OTP, "tests.users"]
if TEST_USER_MODEL != "accounts.User":
    # The example's user isn't swappable, as most projects' is not: another one would clash with it.
    INSTALLED_APPS.remove("example_project.accounts")
    ROOT_URLCONF = "tests.urls"
    JWT_AUTH_CLAIMS = None  # type: ignore[assignment]  # a dotted path in the example
if TEST_USER_MODEL == "users.StringKeyUser":
    JWT_AUTH_ROLES = "tests.users.models.roles_of"

# Fast, because nearly every test makes a user. Tests that measure a log-in take the real ones.
REAL_PASSWORD_HASHERS = PASSWORD_HASHERS
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


# jwt_auth

JWT_AUTH_KEY_STORE = {
    "BACKEND": "jwt_auth.keys.stores.file.FileKeyStore",
    "OPTIONS": {"PATH": str(SCRATCH_DIR / "keys")},
}
# The example answers from Redis where there is one; tests of that say so, and use their own server.
JWT_AUTH_REVOCATION = {"BACKEND": "jwt_auth.revocation.database.DatabaseRevocation"}
# A test finds messages in mail.outbox as soon as a request has been answered.
JWT_AUTH_MAIL_DISPATCHER = "jwt_auth.mail.dispatch.at_once"
# The lifetimes of the settings, which tests change.
JWT_AUTH_SESSION_LIFETIMES = None  # type: ignore[assignment]  # a dotted path in the example
# Tests that want a throttle set its rate.
JWT_AUTH_THROTTLE_RATES = {
    "login_account": None,
    "login_address": None,
    "refresh": None,
    "password_reset": None,
    "password_reset_address": None,
    "email_confirmation": None,
    "mailbox": None,
    "service_client": None,
}
