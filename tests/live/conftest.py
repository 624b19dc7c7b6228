"""One site for all live tests of a run, and a server that most of them share."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest
import requests
from pytest_django import DjangoDbBlocker

from tests.live.databases import dump, scratch_database
from tests.live.site import Server, Site
from tests.programs import need

USERS = ("alice", "bob", "carol", "dave")


class MakeSite(Protocol):
    """What the fixture `make_site` gives."""

    def __call__(self, *users: str, **settings: str) -> Site:
        """Set a site up with these users, and these settings in its environment."""


@pytest.fixture(scope="session")
def make_site(
    tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker
) -> Iterator[MakeSite]:
    """Set up the example project with a folder, a database, keys and users of its own."""
    with ExitStack() as stack:

        def make(*users: str, **settings: str) -> Site:
            folder = tmp_path_factory.mktemp("site")
            folder.chmod(0o700)
            database = stack.enter_context(scratch_database(folder, django_db_blocker))
            return Site.create(folder, database, *users, **settings)

        yield make


@pytest.fixture(scope="session")
def site(make_site: MakeSite) -> Site:
    """The site that the tests share: they leave its users' passwords as they are."""
    return make_site(*USERS)


@pytest.fixture(scope="session")
def server(site: Site) -> Iterator[Server]:
    """A server of two workers, with the settings of `site`."""
    with site.serve() as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[requests.Session]:
    """A client without cookies."""
    with server.session() as session:
        yield session


@pytest.fixture
def dump_database(site: Site, django_db_blocker: DjangoDbBlocker) -> Callable[[], list[Any]]:
    """Read every value that the site's database holds."""
    return lambda: dump(site.database, django_db_blocker)


@pytest.fixture(scope="session")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which Node finds the libraries, of the versions that package-lock.json pins."""
    need("node")
    npm = need("npm")
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json", "verify.js"):
        shutil.copy(Path(__file__).with_name(name), folder)
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
    subprocess.run([npm, "ci", *quiet], cwd=folder, capture_output=True, timeout=250, check=True)
    return folder
