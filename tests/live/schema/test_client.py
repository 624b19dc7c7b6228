"""A TypeScript client that a common generator makes from the schema: it compiles, and it works."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.conftest import MakeSite
from tests.live.schema.fuzzing import USER, prepare
from tests.live.site import PASSWORD, Server, Site
from tests.programs import need

pytestmark = [pytest.mark.live, pytest.mark.example]

FILES = Path(__file__).with_name("client")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generator and the compiler, of the versions that package-lock.json pins."""
    need("node")
    npm = need("npm")
    folder = tmp_path_factory.mktemp("client")
    shutil.copytree(FILES, folder, dirs_exist_ok=True)
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
    subprocess.run([npm, "ci", *quiet], cwd=folder, capture_output=True, timeout=250, check=True)
    return folder


@pytest.fixture(scope="module")
def schema_site(make_site: MakeSite) -> tuple[Site, dict[str, str]]:
    """A separate site, as its user's password changes, and what a service client has to know."""
    prepared, knowledge = prepare(make_site(USER))
    return prepared, dict(knowledge)


@pytest.fixture(scope="module")
def schema_server(schema_site: tuple[Site, dict[str, str]]) -> Iterator[Server]:
    """Its server."""
    with schema_site[0].serve() as server:
        yield server


@pytest.fixture(scope="module")
def compiled(folder: Path, schema_server: Server) -> Path:
    """The client, generated from the schema that the server serves, and compiled."""
    with schema_server.session() as client:
        schema = client.get("/api/schema/", headers={"Accept": "application/json"}).json()
    (folder / "schema.json").write_text(json.dumps(schema))
    run(folder, "openapi-typescript", "schema.json", "--output", "schema.d.ts")
    # Strict; types.ts has what must not compile.
    run(folder, "tsc")
    return folder / "built"


def run(folder: Path, program: str, *arguments: str) -> None:
    """Run a program of the folder's packages."""
    command = [str(folder / "node_modules" / ".bin" / program), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_generated_client_runs_the_flow(
    compiled: Path, schema_server: Server, schema_site: tuple[Site, dict[str, str]]
) -> None:
    """Log in, refresh, end a session, change the password, introspect, verify, log out."""
    knowledge = schema_site[1]
    done = subprocess.run(
        [need("node"), "flow.js"],
        cwd=compiled,
        env={
            "PATH": os.environ["PATH"],
            "NODE_EXTRA_CA_CERTS": str(schema_server.certificate),
            "ADDRESS": schema_server.address,
            "USERNAME": knowledge["FUZZED_USER"],
            "PASSWORD": PASSWORD,
            "CLIENT_ID": knowledge["FUZZED_CLIENT_ID"],
            "CLIENT_SECRET": knowledge["FUZZED_CLIENT_SECRET"],
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == "done\n", done.stderr + schema_server.errors()
