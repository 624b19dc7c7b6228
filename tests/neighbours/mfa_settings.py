"""The example project with django-allauth's multi-factor authentication, as
docs/how-to/second-factor.md says to set it up.
"""

import os

from tests.neighbours.settings import *
from tests.neighbours.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "allauth.mfa"]
ROOT_URLCONF = "tests.neighbours.mfa_urls"

MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_TRUST_ENABLED = os.environ.get("MFA_TRUST_ENABLED") == "1"
# Codes of ten minutes are accepted, because a machine that runs other tests may be slow.
MFA_TOTP_TOLERANCE = 10
# A user who is logged in can log in again: allauth's page doesn't send them away.
ACCOUNT_AUTHENTICATED_LOGIN_REDIRECTS = False
