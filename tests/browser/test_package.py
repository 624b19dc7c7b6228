"""The client as its users get it: a small file, types that tsc takes, an npm package."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

import jwt_auth

pytestmark = [pytest.mark.browser, pytest.mark.chromium]

PACKAGE = Path(jwt_auth.__file__).parent / "static" / "jwt_auth"
HERE = Path(__file__).parent
#: Bytes, compressed: of the file as it is, and of what a bundler makes of it.
LIMIT, LIMIT_MINIFIED = 7100, 4500


def run(*command: str, folder: Path) -> str:
    """Run a program in the folder; give what it writes."""
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(npm: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has installed the packed client, and TypeScript as the lock file pins it."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("package.json", "package-lock.json", "tsconfig.json", "types.ts"):
        shutil.copy(HERE / "types" / name, folder)
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
    run(npm, "ci", *quiet, folder=folder)
    packed = json.loads(run(npm, "pack", "--json", str(PACKAGE), folder=folder))
    assert {file["path"] for file in packed[0]["files"]} == {
        "client.d.ts",
        "client.js",
        "package.json",
    }
    run(npm, "install", "--no-save", *quiet, f"./{packed[0]['filename']}", folder=folder)
    return folder


def test_client_compressed_stays_under_its_limit() -> None:
    """Users have no build step that would make it smaller; comments count."""
    assert len(gzip.compress((PACKAGE / "client.js").read_bytes(), 9)) < LIMIT


def test_client_minified_stays_under_its_limit(project: Path) -> None:
    """As with a bundler: esbuild, of the version that the lock file pins."""
    command = ("npx", "--no-install", "esbuild", "--minify", str(PACKAGE / "client.js"))
    minified = run(*command, folder=project)
    assert len(gzip.compress(minified.encode(), 9)) < LIMIT_MINIFIED


def test_client_needs_nothing_else() -> None:
    """No import, so that one file is all there is to serve."""
    source = (PACKAGE / "client.js").read_text()
    assert "import " not in source
    assert "import(" not in source


def test_npm_package_has_the_version_of_the_distribution() -> None:
    """One release, one number."""
    described = json.loads((PACKAGE / "package.json").read_text())
    pyproject = tomllib.loads((HERE.parents[1] / "pyproject.toml").read_text())
    assert described["version"] == pyproject["project"]["version"]
    assert "dependencies" not in described


def test_node_imports_the_packed_client(project: Path) -> None:
    """Importing it on a server, as a renderer does, needs no browser."""
    script = (
        "import { AuthError, createAuthClient } from 'django-jwt-sessions-client';"
        "console.log(typeof createAuthClient, new AuthError(429, 'throttled').temporary);"
    )
    assert run("node", "--input-type=module", "-e", script, folder=project) == "function true\n"


def test_types_are_what_tsc_takes_them_for(project: Path) -> None:
    """`types.ts` uses all of it rightly, and some of it wrongly where it says so."""
    run("npx", "--no-install", "tsc", "--project", ".", folder=project)


def test_types_name_all_that_the_client_has(project: Path) -> None:
    """Nothing is public that is not described, nor the other way round."""
    script = """
        globalThis.location = { href: "https://app.example/" };
        globalThis.addEventListener = () => {};
        const { createAuthClient } = await import("django-jwt-sessions-client");
        const auth = createAuthClient({ baseUrl: "/api/auth/" });
        const proto = Object.getOwnPropertyNames(Object.getPrototypeOf(auth));
        console.log(JSON.stringify([...Object.keys(auth), ...proto].sort()));
        process.exit();
    """
    names = json.loads(run("node", "--input-type=module", "-e", script, folder=project))
    types = (PACKAGE / "client.d.ts").read_text()
    assert set(names) == {
        *("changePassword", "claims", "close", "confirmEmail", "constructor", "expiresAt", "fetch"),
        *("login", "logout", "logoutAll", "ready", "refresh", "requestPasswordReset"),
        *("resetPassword", "sendEmailConfirmation"),
    }
    assert [name for name in names if name not in types] == []
