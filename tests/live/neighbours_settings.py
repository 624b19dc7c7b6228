"""The example project beside its neighbours, but a password is hashed in no time."""

from tests.live.settings import PASSWORD_HASHERS as FAST_HASHERS
from tests.neighbours.settings import *

PASSWORD_HASHERS = FAST_HASHERS
