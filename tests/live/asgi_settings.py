"""The live tests' settings for the ASGI project."""

from tests.live.settings import *
from tests.live.settings import MIDDLEWARE

ROOT_URLCONF = "tests.live.asgi_app"
MIDDLEWARE = [*MIDDLEWARE, "jwt_auth.middleware.JWTUserMiddleware"]
