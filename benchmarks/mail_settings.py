"""The settings of the live tests, with a mail server whose port is in the environment."""

import os

from tests.live.settings import *

EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
EMAIL_HOST = "127.0.0.1"
EMAIL_PORT = int(os.environ["BENCH_MAIL_PORT"])
