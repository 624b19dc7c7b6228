"""Encrypted rings: only the key that was used opens one, and only as it was sealed."""

from __future__ import annotations

import base64
import json
import os
from typing import Any

import pytest

from jwt_auth.encoding import base64url_decode, base64url_encode
from jwt_auth.exceptions import InvalidKey, KeyRingTorn
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores import encryption
from jwt_auth.keys.stores.encryption import KeyEncryptionKey


def make_key() -> KeyEncryptionKey:
    (key,) = encryption.parse_keys(base64.b64encode(os.urandom(32)).decode())
    return key


@pytest.fixture
def key() -> KeyEncryptionKey:
    return make_key()


@pytest.fixture
def envelope(ring: KeyRing, key: KeyEncryptionKey) -> dict[str, Any]:
    """A sealed ring, to be spoilt."""
    sealed: dict[str, Any] = json.loads(encryption.seal(ring, key))
    return sealed


def test_key_is_not_shown(key: KeyEncryptionKey) -> None:
    """In a debugger's list of variables."""
    assert "secret" not in repr(key)


def test_each_seal_is_another_one(ring: KeyRing, key: KeyEncryptionKey) -> None:
    """A nonce that comes twice would give both away."""
    nonces = {json.loads(encryption.seal(ring, key))["sealed"][:16] for _ in range(100)}
    assert len(nonces) == 100


@pytest.mark.parametrize(
    "change",
    [{"version": 2}, {"kids": []}, {"kids": ["another"]}, {"version": 2, "kids": []}],
    ids=str,
)
def test_changed_header_is_refused(
    envelope: dict[str, Any], key: KeyEncryptionKey, change: dict[str, Any]
) -> None:
    """An old encrypted part does not come back under a new version."""
    with pytest.raises(KeyRingTorn, match="was changed"):
        encryption.unseal(json.dumps(envelope | change), [key])


def test_changed_or_cut_secret_part_is_refused(
    envelope: dict[str, Any], key: KeyEncryptionKey
) -> None:
    """At any of its bytes."""
    sealed = base64url_decode(envelope["sealed"])
    spoilt = [sealed[:n] for n in (0, 5, 12, 20, len(sealed) - 1)]
    spoilt += [sealed[:n] + bytes([sealed[n] ^ 1]) + sealed[n + 1 :] for n in (0, 12, 99, -17)][:3]
    for content in spoilt:
        changed = envelope | {"sealed": base64url_encode(content)}
        with pytest.raises(KeyRingTorn, match="was changed"):
            encryption.unseal(json.dumps(changed), [key])


def test_other_key_of_the_same_name_opens_nothing(
    envelope: dict[str, Any], key: KeyEncryptionKey
) -> None:
    """The cipher decides, not the name."""
    impostor = KeyEncryptionKey(id=key.id, secret=os.urandom(32))
    with pytest.raises(KeyRingTorn, match="was changed"):
        encryption.unseal(json.dumps(envelope), [impostor])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sealed": "+/"}, "damaged"),
        ({"sealed": 5}, "damaged"),
        ({"key_encryption_key": "hunter2"}, "encrypted under"),
        ({"key_encryption_key": 5}, "encrypted under"),
        ({"more": 1}, "not an encrypted key ring"),
        ({"format": 2}, "upgrade"),
        ({"format": None}, "format number"),
        ({"format": 0}, "format number"),
        ({"format": True}, "format number"),
    ],
)
def test_malformed_envelope_says_what_is_wrong(
    envelope: dict[str, Any], key: KeyEncryptionKey, change: dict[str, Any], reason: str
) -> None:
    """And quotes nothing of it."""
    with pytest.raises(KeyRingTorn, match=reason) as torn:
        encryption.unseal(json.dumps(envelope | change), [key])
    assert "hunter2" not in str(torn.value)


def test_keys_are_read_in_both_alphabets() -> None:
    """With padding, without, and with too much of it, and with spaces around."""
    secret = bytes(range(224, 256))
    standard = base64.b64encode(secret).decode()
    url = base64.urlsafe_b64encode(secret).decode()
    assert standard != url
    keys = encryption.parse_keys(f"{standard}, {url},{url.rstrip('=')}\n,{url}=")
    assert {key.secret for key in keys} == {secret}
    assert len({key.id for key in keys}) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{good},", "2 has 0 bytes instead of 32"),
        ("hunter2!", "1 is not base64"),
        ("hünter", "1 is not base64"),
        ("{good},aHVudGVyMg==", "2 has 7 bytes instead of 32"),
        ("A" * 43, "1 is not random"),
    ],
)
def test_unfit_key_says_why_and_is_not_quoted(text: str, reason: str) -> None:
    """With its place in the list."""
    good = base64.b64encode(os.urandom(32)).decode()
    with pytest.raises(InvalidKey, match=reason) as unfit:
        encryption.parse_keys(text.format(good=good))
    for part in (good, "hunter2", "aHVu"):
        assert part not in str(unfit.value)
