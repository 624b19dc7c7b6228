"""The example project's settings, but a password is hashed in no time, since clients log in often,
and each answer names its worker.
"""

from example_project.settings import *
from example_project.settings import MIDDLEWARE

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

MIDDLEWARE = ["tests.live.workers.name_worker", *MIDDLEWARE]
