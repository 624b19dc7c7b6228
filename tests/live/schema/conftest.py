"""What the tests of the schema share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from tests.live.databases import scratch_database
from tests.live.schema.fuzzing import USER
from tests.live.site import Site


@pytest.fixture(scope="module")
def own_site(
    tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker
) -> Iterator[Site]:
    """A site of its own: these tests change their user's password, and end sessions."""
    folder = tmp_path_factory.mktemp("schema-site")
    folder.chmod(0o700)
    with scratch_database(folder, django_db_blocker) as database:
        yield Site.create(folder, database, USER)
