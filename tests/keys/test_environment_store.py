"""The environment store: a key or a ring from a variable, read-only and alike on every node."""

from __future__ import annotations

import base64
import json
import re
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core.management import CommandError, call_command
from pytest_django import Settings

from jwt_auth.exceptions import KeyRingMissing, KeyRingTorn
from jwt_auth.keys import jwk
from jwt_auth.keys.pem import jwk_from_pem
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores.base import KeyStore
from jwt_auth.keys.stores.environment import EnvironmentKeyStore
from tests.keys.contract import ReadOnlyContract, Storage
from tests.management.commands import output_of

VARIABLE = "EXAMPLE_KEYS"

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
PKCS8, TRADITIONAL = PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL


def pem(key: Any, form: PrivateFormat = PKCS8) -> str:
    text: bytes = key.private_bytes(Encoding.PEM, form, NoEncryption())
    return text.decode()


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> EnvironmentKeyStore:
    monkeypatch.delenv(VARIABLE, raising=False)
    return EnvironmentKeyStore(VARIABLE=VARIABLE)


class EnvironmentStorage(Storage):
    """A variable of the test's own process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    def open(self) -> KeyStore:
        return EnvironmentKeyStore(VARIABLE=VARIABLE)

    def put(self, content: bytes) -> None:
        self.monkeypatch.setenv(VARIABLE, content.decode("utf-8", "surrogateescape"))

    def put_ring(self, ring: KeyRing) -> None:
        self.put(base64.b64encode(ring.to_json().encode()))

    def empty(self) -> None:
        self.monkeypatch.delenv(VARIABLE, raising=False)

    def unreachable(self) -> AbstractContextManager[None]:
        raise NotImplementedError("A process always reaches its environment.")


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> EnvironmentStorage:
    storage = EnvironmentStorage(monkeypatch)
    storage.empty()
    return storage


class TestContract(ReadOnlyContract):
    if_missing = "set it to a private key in PEM, a JWK"
    if_torn = f"Set {VARIABLE} to a private key in PEM, a JWK"
    instead = r"file store.*ring\.json in base64"


@pytest.mark.parametrize("text", ["", " \n"])
def test_empty_variable_is_a_missing_key(
    store: EnvironmentKeyStore, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """And says what to set, and what it takes."""
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(KeyRingMissing, match=f"{VARIABLE}: set it to a private key in PEM, a JWK"):
        store.load()


@pytest.mark.parametrize("wrap", [str, encoded, lambda text: text.replace("\n", "\\n")])
@pytest.mark.parametrize(
    ("key", "form", "algorithm"),
    [
        (EC_KEY, PKCS8, "ES256"),
        (EC_KEY, TRADITIONAL, "ES256"),
        (ed25519.Ed25519PrivateKey.generate(), PKCS8, "EdDSA"),
        (RSA_KEY, PKCS8, "PS256"),
        (RSA_KEY, TRADITIONAL, "PS256"),
    ],
)
def test_pem_is_a_ring_of_one_key_that_signs(
    store: EnvironmentKeyStore,
    monkeypatch: pytest.MonkeyPatch,
    key: Any,
    form: PrivateFormat,
    algorithm: str,
    wrap: Any,
) -> None:
    """The same on every node and at every load; as it is, in base64, or with ends of lines
    written out.
    """
    monkeypatch.setenv(VARIABLE, wrap(pem(key, form)))
    ring = store.load()
    signing = ring.signing_key(datetime.now(UTC))
    assert (signing.algorithm, signing.kid) == (algorithm, jwk.thumbprint(signing.jwk))
    assert (ring, ring.version) == (EnvironmentKeyStore(VARIABLE=VARIABLE).load(), 1)
    prepared = jwk.prepare_signing_key(signing.jwk)
    assert jwk.prepare_verification_key(signing.jwk).verify(b"message", prepared.sign(b"message"))


@pytest.mark.parametrize("wrap", [str, encoded])
@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "HS256"])
def test_jwk_is_a_ring_of_one_key(
    store: EnvironmentKeyStore, monkeypatch: pytest.MonkeyPatch, algorithm: str, wrap: Any
) -> None:
    """With its own kid and algorithm."""
    key = jwk.generate(algorithm)
    monkeypatch.setenv(VARIABLE, wrap(json.dumps(key)))
    (only,) = store.load().keys
    assert (only.jwk, only.kid, only.algorithm) == (key, key["kid"], algorithm)


def test_ring_is_read_as_it_is_and_in_either_base64(
    store: EnvironmentKeyStore, monkeypatch: pytest.MonkeyPatch, ring: KeyRing
) -> None:
    """JSON, base64 and base64url, in one line or in many."""
    kid = ring.keys[0].kid
    text = ring.to_json().replace(kid, "?????")  # which the two alphabets write differently
    url = base64.urlsafe_b64encode(text.encode()).decode()
    assert url != encoded(text)
    lines = base64.encodebytes(text.encode()).decode()
    for value in (text, encoded(text), url, f" {url}\n", lines):
        monkeypatch.setenv(VARIABLE, value)
        assert store.load() == KeyRing.from_json(text)


@pytest.mark.parametrize(
    ("setting", "option", "expected"),
    [
        ("ES256", None, "PS256"),
        ("PS256", None, "PS256"),
        ("RS256", None, "RS256"),
        ("PS256", "RS256", "RS256"),
    ],
)
def test_rsa_key_takes_the_option_or_the_setting(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    option: str | None,
    expected: str,
) -> None:
    """It can be for two algorithms; one that says for which keeps it."""
    settings.JWT_AUTH_ALGORITHM = setting
    monkeypatch.setenv(VARIABLE, pem(RSA_KEY))
    store = EnvironmentKeyStore(VARIABLE=VARIABLE, ALGORITHM=option)
    assert store.load().keys[0].algorithm == expected
    own = {**store.load().keys[0].jwk, "alg": "RS256"}
    monkeypatch.setenv(VARIABLE, json.dumps(own))
    assert EnvironmentKeyStore(VARIABLE=VARIABLE).load().keys[0].algorithm == "RS256"


@pytest.mark.parametrize(
    ("text", "option", "reason"),
    [
        # Not that its algorithm is unknown.
        (pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)), None, "2048 bits"),
        (pem(EC_KEY), "EdDSA", "can't be for EdDSA, only for ES256"),
        (
            json.dumps(jwk_from_pem(pem(RSA_KEY).encode(), algorithm="PS256")),
            "RS256",
            "alg of the key is not RS256",
        ),
        (pem(ec.generate_private_key(ec.SECP384R1())), None, "not on the curve P-256"),
        ('{"kty": "oct", "kid": "a", "k": "aHVudGVyMg"}', None, "32 bytes"),
        ('{"kty": "hunter2"}', None, "nothing here can use it"),
        ("-----BEGIN PUBLIC KEY-----\nhunter2", None, "public key can't sign"),
        ("-----BEGIN PRIVATE KEY-----\nhunter2", None, "does not hold a valid private key"),
    ],
)
def test_unfit_key_says_why_and_what_to_set(
    monkeypatch: pytest.MonkeyPatch, text: str, option: str | None, reason: str
) -> None:
    """And is not quoted."""
    monkeypatch.setenv(VARIABLE, text)
    store = EnvironmentKeyStore(VARIABLE=VARIABLE, ALGORITHM=option)
    with pytest.raises(KeyRingTorn, match=f"{VARIABLE}: .*{reason}.*Set {VARIABLE} to") as torn:
        store.load()
    assert "hunter2" not in str(torn.value)


def test_stamp_is_no_copy_of_the_key(
    store: EnvironmentKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be shown in a debugger's list of variables."""
    monkeypatch.setenv(VARIABLE, pem(EC_KEY))
    assert isinstance(store.stamp(), bytes)
    assert len(store.stamp()) == 32  # type: ignore[arg-type]  # the line above


@pytest.fixture
def environment_store(settings: Settings) -> None:
    """The settings' store."""
    settings.JWT_AUTH_KEY_STORE = {
        "BACKEND": "jwt_auth.keys.stores.environment.EnvironmentKeyStore",
        "OPTIONS": {"VARIABLE": VARIABLE},
    }


@pytest.mark.usefixtures("environment_store")
def test_commands_say_that_the_age_of_a_single_key_is_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A PEM says nothing of it, and no command shows a date or an age instead."""
    monkeypatch.setenv(VARIABLE, pem(EC_KEY))
    (row,) = json.loads(output_of("list_keys", "--format", "json"))
    assert (row["age"], row["created_at"], row["activates_at"]) == (None, None, None)
    table = output_of("list_keys")
    cells = re.split(r"  +", table.splitlines()[1])
    assert cells[2:] == ["signing", *["unknown"] * 3, "-", "its age is unknown: plan a rotation"]
    planned = output_of("rotate_keys", "--if-due", "--dry-run")
    assert not re.search("1970|day", table + json.dumps(row) + planned)


@pytest.mark.usefixtures("environment_store")
@pytest.mark.parametrize(
    "command", [("generate_keys",), ("rotate_keys",), ("rotate_keys", "--retire")]
)
def test_commands_say_where_the_ring_is_changed_instead(
    monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    """An error where something would have to be written."""
    past = datetime(2020, 1, 1, tzinfo=UTC)
    ring = KeyRing(version=0)
    for _ in range(2):
        ring = ring.with_next_key(jwk.generate("ES256"), past, past, timedelta(days=1))
    monkeypatch.setenv(VARIABLE, ring.to_json())
    with pytest.raises(CommandError, match=r"can't be changed from here.*ring\.json in base64"):
        call_command(*command)
