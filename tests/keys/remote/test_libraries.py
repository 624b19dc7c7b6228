"""Stores and a signer whose library isn't installed."""

from __future__ import annotations

import sys

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from jwt_auth.checks.settings import check_settings
from jwt_auth.keys.stores.base import get_key_store


@pytest.mark.parametrize(
    ("path", "library", "extra"),
    [
        ("vault.VaultKeyStore", "hvac", "vault"),
        ("aws.AWSSecretsManagerKeyStore", "boto3.session", "aws"),
        ("azure.AzureKeyVaultKeyStore", "azure.identity", "azure"),
        ("azure.AzureKeyVaultKeyStore", "azure.keyvault.secrets", "azure"),
    ],
)
def test_missing_library_says_what_to_install(
    path: str, library: str, extra: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check of the setting reports it at the start, and only if the setting names the store."""
    settings.JWT_AUTH_KEY_STORE = {"BACKEND": f"jwt_auth.keys.stores.{path}", "OPTIONS": {}}
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, "jwt_auth.keys.aws_clients", raising=False)
    monkeypatch.delitem(
        sys.modules, f"jwt_auth.keys.stores.{path.partition('.')[0]}", raising=False
    )
    with pytest.raises(
        ImproperlyConfigured, match=rf'pip install "django-jwt-sessions\[{extra}\]"'
    ):
        get_key_store()
    (problem,) = [message for message in check_settings(None) if message.id == "jwt_auth.E016"]
    assert f"[{extra}]" in problem.msg


def test_missing_boto3_is_named_by_the_signer(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the check of the signer's setting."""
    settings.JWT_AUTH_KEY_SIGNER = {
        "BACKEND": "jwt_auth.keys.signers.aws.AWSKMSSigner",
        # Otherwise a signer that another test has built from the same setting would be used.
        "OPTIONS": {"REGION": "of-this-test"},
    }
    monkeypatch.setitem(sys.modules, "boto3.session", None)
    monkeypatch.delitem(sys.modules, "jwt_auth.keys.aws_clients", raising=False)
    monkeypatch.delitem(sys.modules, "jwt_auth.keys.signers.aws", raising=False)
    (problem,) = [message for message in check_settings(None) if message.id == "jwt_auth.E050"]
    assert 'pip install "django-jwt-sessions[aws]"' in problem.msg
