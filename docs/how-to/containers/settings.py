"""Append this to mysite/settings.py."""

import os

import dj_database_url

SECRET_KEY = os.environ["SECRET_KEY"]
DEBUG = False
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "").split(",")
DATABASES = {"default": dj_database_url.config(conn_max_age=60)}
STATIC_ROOT = "/srv/mysite/static"
# The ingress ends HTTPS, and overwrites these headers of the client.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["jwt_auth.authentication.JWTAuthentication"],
    "NUM_PROXIES": 1,
}
JWT_AUTH_KEY_STORE = {"BACKEND": "jwt_auth.keys.stores.database.DatabaseKeyStore"}
