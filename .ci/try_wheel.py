"""Use the installed package like a new project: try_wheel.py, in a venv with only the package.

It creates a Django project in an empty folder from the README's settings, runs the commands, logs
in through Django's test client and calls an endpoint with the token.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

SETTINGS = """
from pathlib import Path

BASE_DIR = Path(__file__).parent
SECRET_KEY = "only-for-this-try-0123456789abcdef0123456789abcdef0123456789abcdef"
ALLOWED_HOSTS = ["testserver"]
USE_TZ = True
ROOT_URLCONF = "urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "jwt_auth",
]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["jwt_auth.authentication.JWTAuthentication"],
}
JWT_AUTH_ISSUER = "https://www.example.com"
JWT_AUTH_AUDIENCE = "example-api"
JWT_AUTH_KEY_STORE = {
    "BACKEND": "jwt_auth.keys.stores.file.FileKeyStore",
    "OPTIONS": {"PATH": str(BASE_DIR / "keys")},
}
"""

URLS = """
from django.urls import include, path

urlpatterns = [
    path("api/auth/", include("jwt_auth.urls")),
    path(".well-known/", include("jwt_auth.urls.well_known")),
]
"""

VISIT = """
import django
django.setup()

from django.contrib.auth import get_user_model
from django.test import Client

ALICE = {"username": "alice", "password": "correct horse battery staple"}
get_user_model().objects.create_user(**ALICE)
client = Client()
answer = client.post("/api/auth/login/", ALICE, secure=True)
assert answer.status_code == 200, (answer.status_code, answer.content)
token = answer.json()["access_token"]
answer = client.get("/api/auth/me/", headers={"Authorization": f"Bearer {token}"}, secure=True)
assert answer.status_code == 200, (answer.status_code, answer.content)
assert answer.json()["username"] == "alice", answer.content
answer = client.get("/api/auth/me/", secure=True)
assert answer.status_code == 401, (answer.status_code, answer.content)
answer = client.get("/.well-known/jwks.json", secure=True)
assert len(answer.json()["keys"]) == 1, answer.content
"""

IS_INSTALLED = """
import pathlib, jwt_auth
package = pathlib.Path(jwt_auth.__file__)
assert "site-packages" in package.parts, package
"""


def main() -> None:
    """Stop with a traceback at the first step that fails."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "settings.py").write_text(SETTINGS)
        (Path(folder) / "urls.py").write_text(URLS)
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": folder}

        def python(*arguments: str) -> None:
            command = [sys.executable, "-W", "error", *arguments]
            subprocess.run(command, cwd=folder, env=environment, check=True)

        python("-c", IS_INSTALLED)
        python("-m", "django", "check")
        python("-m", "django", "generate_keys")
        python("-m", "django", "makemigrations", "--check", "--dry-run")
        python("-m", "django", "migrate", "--verbosity", "0")
        python("-c", VISIT)
    print("The wheel works in an empty environment.")


if __name__ == "__main__":
    main()
