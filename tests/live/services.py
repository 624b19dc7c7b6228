"""The services of docs/how-to/verify, each in a process of its own, as a reader would run it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.live.site import ROOT, Client
from tests.live.waiting import wait_until
from tests.programs import need, need_file

PAGES = ROOT / "docs" / "how-to" / "verify"
GO_LIBRARY = Path("/usr/share/gocode/src/github.com/golang-jwt/jwt")
_GO_MODULE = GO_LIBRARY / "go.mod"
_MAVEN = Path.home() / ".m2" / "repository"
JARS = (
    _MAVEN / "org/bitbucket/b_c/jose4j/0.9.6/jose4j-0.9.6.jar",
    _MAVEN / "org/slf4j/slf4j-api/1.7.36/slf4j-api-1.7.36.jar",
)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a service is started."""

    #: As the page's table names it.
    library: str
    folder: str
    command: tuple[str, ...]


def _flask(library: str) -> Recipe:
    gunicorn = (sys.executable, "-m", "gunicorn", "--threads", "4")
    return Recipe(
        library=library, folder="python", command=(*gunicorn, f"{library.lower()}_service:app")
    )


SERVICES: Mapping[str, Recipe] = {
    "pyjwt": _flask("PyJWT"),
    "joserfc": _flask("joserfc"),
    "authlib": _flask("Authlib"),
    "jose": Recipe(library="jose", folder="node", command=("node", "http-service.mjs")),
    "express": Recipe(
        library="express-oauth2-jwt-bearer", folder="node", command=("node", "express-service.mjs")
    ),
    "golang-jwt": Recipe(library="golang-jwt", folder="go", command=("./service",)),
    "jose4j": Recipe(
        library="jose4j", folder="java", command=("java", "-cp", "lib/*", "Service.java")
    ),
}
_ADDRESS = re.compile(r"(?:Listening on|Listening at:) (http://127\.0\.0\.1:\d+)")


@dataclass(frozen=True, kw_only=True)
class Service:
    """A running service."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def address(self) -> str:
        """Where it listens, as it says itself; empty before that."""
        found = _ADDRESS.search(self.log.read_text())
        return found[1] if found else ""

    def wait_until_up(self) -> None:
        """Wait until it says where it listens.

        Raises:
            AssertionError: it has ended, or takes too long.
        """
        wait_until(lambda: self.address or self.process.poll() is not None, "a service starts")
        assert self.address, self.log.read_text()

    def ask(self, authorization: str | None) -> requests.Response:
        """Send a request with this header."""
        with Client(self.address) as client:
            client.trust_env = False
            headers = {} if authorization is None else {"Authorization": authorization}
            return client.get("/", headers=headers)


def need_toolchain(name: str) -> None:
    """Skip the test if something that the service needs is missing."""
    match SERVICES[name].folder:
        case "node":
            need("node")
            need("npm")
        case "go":
            need("go")
            need_file(_GO_MODULE, "golang-github-golang-jwt-jwt-dev")
        case "java":
            need("javac")
            if not _has_jars():
                # Not even with REQUIRE_ALL a failure: no package of Debian has them, and a machine
                # that can't reach Maven Central can't get them.
                pytest.skip(f"{' and '.join(jar.name for jar in JARS)} are not in ~/.m2")


def is_available(name: str) -> bool:
    """Tell whether everything that the service needs is there."""
    match SERVICES[name].folder:
        case "node":
            return bool(shutil.which("node") and shutil.which("npm"))
        case "go":
            return bool(shutil.which("go")) and _GO_MODULE.exists()
        case "java":
            return bool(shutil.which("javac")) and _has_jars()
    return True


def _has_jars() -> bool:
    return all(jar.exists() for jar in JARS)


def build(folder: Path, node_modules: Path | None) -> None:
    """Copy the pages' files into the folder, and give each what it imports."""
    shutil.copytree(PAGES, folder, dirs_exist_ok=True)
    if node_modules is not None:
        (folder / "node" / "node_modules").symlink_to(node_modules)
    if is_available("golang-jwt"):
        replaced = f"-replace=github.com/golang-jwt/jwt/v4={GO_LIBRARY}"
        environment = {**os.environ, "GOFLAGS": "-mod=mod", "GOPROXY": "off"}
        for command in (["mod", "edit", replaced], ["vet", "."], ["build", "-o", "service", "."]):
            done = subprocess.run(
                ["go", *command],
                cwd=folder / "go",
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
    if is_available("jose4j"):
        (folder / "java" / "lib").mkdir()
        for jar in JARS:
            shutil.copy(jar, folder / "java" / "lib")


@contextmanager
def serve(folder: Path, label: str, settings: Mapping[str, str]) -> Iterator[dict[str, Service]]:
    """Start all services that can be had; end them whatever happens.

    In the address of the key set, `{name}` stands for the service's name.
    """
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PORT": "0", **settings}
    # Longer headers than by default: the services have to refuse them.
    environment["GUNICORN_CMD_ARGS"] = "--bind 127.0.0.1:0 --limit-request-field_size 16384"
    with ExitStack() as stack:
        services = {
            name: stack.enter_context(_start(name, folder, label, environment))
            for name in SERVICES
            if is_available(name)
        }
        for service in services.values():
            service.wait_until_up()
        yield services


@contextmanager
def _start(
    name: str, folder: Path, label: str, environment: Mapping[str, str]
) -> Iterator[Service]:
    log = folder / f"{label}-{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            SERVICES[name].command,
            cwd=folder / SERVICES[name].folder,
            env={**environment, "JWKS_URL": environment["JWKS_URL"].format(name=name)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    try:
        yield Service(process=process, log=log)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
