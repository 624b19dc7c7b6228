"""No waiting between attempts, and what takes long is made once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from unittest.mock import patch

import pytest

from jwt_auth.keys import remote_client
from tests.keys.remote.azure_process import HOST
from tests.live.certificate import make_certificate


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds between attempts that would have been waited for."""
    pauses: list[float] = []
    monkeypatch.setattr(remote_client, "sleep", pauses.append)
    return pauses


@pytest.fixture(scope="session", autouse=True)
def _models_are_read_once() -> Iterator[None]:
    """Those of AWS's services, which boto3 would read anew for every client."""
    try:
        from botocore.session import create_loader
    except ImportError:
        yield
        return
    with patch("botocore.session.create_loader", cache(create_loader)):
        yield


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for Azure's host, which no other client trusts."""
    return make_certificate(tmp_path_factory.mktemp("certificate"), HOST)
