"""The example project with django-allauth's multi-factor authentication, but a password is hashed
in no time.
"""

from tests.live.settings import PASSWORD_HASHERS as FAST_HASHERS
from tests.neighbours.mfa_settings import *

PASSWORD_HASHERS = FAST_HASHERS
