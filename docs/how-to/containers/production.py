"""The settings of the image. The development machine keeps its own."""

import os

import dj_database_url
from mysite.settings import *

SECRET_KEY = os.environ["SECRET_KEY"]
DEBUG = False
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "").split(",")
DATABASES = {"default": dj_database_url.config(conn_max_age=60)}
STATIC_ROOT = "/srv/mysite/static"
# The ingress ends HTTPS, and overwrites the client's headers.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
REST_FRAMEWORK = {**REST_FRAMEWORK, "NUM_PROXIES": 1}
JWT_AUTH_KEY_STORE = {"BACKEND": "jwt_auth.keys.stores.database.DatabaseKeyStore"}
