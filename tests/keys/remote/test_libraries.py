"""Stores and a signer whose library isn't installed."""

from __future__ import annotations

import sys

import pytest
from pytest_django import Settings

from jwt_auth.checks.settings import check_settings


@pytest.mark.parametrize(
    ("setting", "found", "path", "library", "extra"),
    [
        ("STORE", "E016", "stores.vault.VaultKeyStore", "hvac", "vault"),
        ("STORE", "E016", "stores.aws.AWSSecretsManagerKeyStore", "boto3.session", "aws"),
        ("STORE", "E016", "stores.azure.AzureKeyVaultKeyStore", "azure.identity", "azure"),
        ("STORE", "E016", "stores.azure.AzureKeyVaultKeyStore", "azure.keyvault.secrets", "azure"),
        ("SIGNER", "E050", "signers.aws.AWSKMSSigner", "boto3.session", "aws"),
    ],
)
def test_missing_library_says_what_to_install(
    setting: str,
    found: str,
    path: str,
    library: str,
    extra: str,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The check of the setting reports it at the start, and only if the setting names the class."""
    backend = {
        "BACKEND": f"jwt_auth.keys.{path}",
        # Otherwise one that another test has built from the same setting would be used.
        "OPTIONS": {"REGION": "of-this-test"},
    }
    setattr(settings, f"JWT_AUTH_KEY_{setting}", backend)
    monkeypatch.setitem(sys.modules, library, None)
    for module in ("aws_clients", path.rpartition(".")[0]):
        monkeypatch.delitem(sys.modules, f"jwt_auth.keys.{module}", raising=False)
    (problem,) = [message for message in check_settings(None) if message.id == f"jwt_auth.{found}"]
    assert f'pip install "django-jwt-sessions[{extra}]"' in problem.msg
