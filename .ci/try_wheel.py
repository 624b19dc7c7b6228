"""Follow the README's quick start with the installed package: try_wheel.py, in a venv with only it.

A new project in an empty folder gets the README's lines, word for word, and runs its commands. Then
a user logs in through Django's test client and calls an endpoint with the token.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
QUICK_START = README.read_text().partition("## Quick start")[2].partition("\n## ")[0]

VISIT = """
import os

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
django.setup()

from django.contrib.auth import get_user_model
from django.test import Client

ALICE = {"username": "alice", "password": "correct horse battery staple"}
get_user_model().objects.create_user(**ALICE)
client = Client(SERVER_NAME="localhost")
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


def blocks(language: str) -> list[str]:
    """The quick start's blocks of code in that language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", QUICK_START, re.MULTILINE | re.DOTALL)


def main() -> None:
    """Stop with a traceback at the first step that fails."""
    settings, urls = blocks("python")
    _install, commands, _login = blocks("sh")
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent, "mysite")
        folder.mkdir()

        def python(*arguments: str) -> None:
            command = [sys.executable, "-W", "error", *arguments]
            subprocess.run(command, cwd=folder, check=True)

        python("-c", IS_INSTALLED)
        python("-m", "django", "startproject", "mysite", ".")
        for name, lines in (("settings.py", settings), ("urls.py", urls)):
            with (folder / "mysite" / name).open("a") as file:
                file.write(f"\n{lines}")
        for command in commands.splitlines():
            program, *arguments = command.split()
            assert program == "python", command
            python(*arguments)
        python("manage.py", "check", "--fail-level", "WARNING")
        python("manage.py", "makemigrations", "--check", "--dry-run")
        python("-c", VISIT)
    print("The wheel works in an empty environment.")


if __name__ == "__main__":
    main()
