"""No waiting between attempts, and what takes long is made once."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from unittest.mock import patch

import pytest

from jwt_auth.keys import remote_client
from tests.keys.remote.azure_process import HOST
from tests.keys.remote.moto_proxy import moto
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


@pytest.fixture(scope="session")
def tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    """That of a server with this certificate."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)
    return tls


@pytest.fixture(scope="session")
def moto_port() -> Iterator[int]:
    with moto() as port:
        yield port


@pytest.fixture
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without any settings for AWS, and without those of this machine."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
