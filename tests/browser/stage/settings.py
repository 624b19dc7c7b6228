"""The example project with a page for tests, and with faults to be switched on."""

from example_project.settings import *
from example_project.settings import MIDDLEWARE

ROOT_URLCONF = "tests.browser.stage.urls"
MIDDLEWARE = ["tests.browser.stage.faults.middleware", *MIDDLEWARE]
# Nearly every test logs in, and none is about how long a hash takes.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
