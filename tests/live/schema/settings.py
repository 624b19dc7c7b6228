"""The settings of the live tests. Mails go nowhere, because the attack asks for hundreds."""

from tests.live.settings import *  # noqa: F403

EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
