"""The part of a service's settings that makes it verify the issuer's tokens."""

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "rest_framework",
    "jwt_auth",
]
REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ["jwt_auth.authentication.JWTAuthentication"]}
JWT_AUTH_ISSUER = "https://auth.example.com"
JWT_AUTH_AUDIENCE = "example-api"
JWT_AUTH_JWKS_URL = "https://auth.example.com/.well-known/jwks.json"
JWT_AUTH_REVOCATION = {"BACKEND": "jwt_auth.revocation.stateless.NoRevocation"}
