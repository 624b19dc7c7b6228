"""The settings of the live tests. Mails go nowhere, because the attack asks for hundreds."""

from tests.live.settings import *

EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
