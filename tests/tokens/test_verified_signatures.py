"""The memory of verified signatures skips the signature and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import TypeAlias

import pytest
from django.core.management import call_command
from pytest_django import Settings

from jwt_auth.exceptions import Refusal
from jwt_auth.keys import cache, jwk
from jwt_auth.keys.jwk import VerificationKey
from jwt_auth.keys.loaded_ring import MAX_SIGNATURES, VerifiedSignatures
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores.base import get_key_store
from jwt_auth.tokens import access
from tests.keys.reloading import PATIENCE, finish_reloads, holds_in_child, knows
from tests.tokens.forging import NOW, Forge, refusal_of
from tests.tokens.forging import forge as take_key

Save: TypeAlias = Callable[[Callable[[KeyRing], KeyRing]], None]

IN_AN_HOUR = int((NOW + timedelta(hours=1)).timestamp())


@pytest.fixture(autouse=True)
def _own_ring(settings: Settings, tmp_path: Path) -> None:
    """Give each test a ring that it may change."""
    settings.JWT_AUTH_KEY_STORE = {
        "BACKEND": "jwt_auth.keys.stores.file.FileKeyStore",
        "OPTIONS": {"PATH": str(tmp_path / "keys")},
    }
    call_command("generate_keys", verbosity=0)
    cache.get_ring()  # the signature of a token that comes before the ring is not remembered


@pytest.fixture
def forge(_own_ring: None) -> Forge:
    """The holder of the key of this test's ring."""
    return take_key()


@pytest.fixture
def signature_checks(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The messages whose signatures were computed."""
    checked: list[bytes] = []
    real = VerificationKey.verify

    def verify(key: VerificationKey, message: bytes, signature: bytes) -> bool:
        checked.append(message)
        return real(key, message, signature)

    monkeypatch.setattr(VerificationKey, "verify", verify)
    return checked


@pytest.fixture(params=["unknown-kid", "idle"])
def save(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Save]:
    """Changes the stored ring, as a command on another node would, and has the next request use it:
    because it was loaded for an unknown kid, or because the process had been idle before it.
    """

    def save(change: Callable[[KeyRing], KeyRing]) -> None:
        store = get_key_store()
        ring: KeyRing = store.load()
        store.save(change(ring), expected_version=ring.version)
        if request.param == "unknown-kid":
            assert not knows("made up", NOW)  # loads the ring, because its stamp has changed
        else:
            monkeypatch.setattr(cache, "monotonic", lambda: monotonic() + 3600)
            monkeypatch.setattr(cache, "PATIENCE", PATIENCE)

    yield save
    finish_reloads()


def test_second_request_skips_the_signature(forge: Forge, signature_checks: list[bytes]) -> None:
    """The arithmetic is done once, and both requests read the same claims."""
    token = forge.token(claims=forge.claims(tenant="acme"))
    one, other = (access.verify(token, now=NOW) for _ in range(2))
    assert len(signature_checks) == 1
    assert one == other


def test_remembered_token_expires(forge: Forge) -> None:
    """Each request asks the clock."""
    token = forge.token()
    assert refusal_of(token) is None
    assert refusal_of(token, now=NOW + timedelta(minutes=15)) == Refusal.EXPIRED
    assert refusal_of(token, now=NOW - timedelta(seconds=1)) == Refusal.NOT_YET_VALID


@pytest.mark.parametrize(
    ("setting", "refusal"),
    [("JWT_AUTH_ISSUER", Refusal.ISSUER), ("JWT_AUTH_AUDIENCE", Refusal.AUDIENCE)],
)
def test_remembered_token_is_judged_by_the_present_settings(
    setting: str, refusal: Refusal, forge: Forge, settings: Settings
) -> None:
    """Each request judges the claims."""
    token = forge.token()
    assert refusal_of(token) is None
    setattr(settings, setting, "https://other.example")
    assert refusal_of(token) == refusal


def test_remembered_token_ends_with_its_key(forge: Forge, save: Save) -> None:
    """A key that has expired by the clock alone verifies nothing, remembered or not."""
    save(lambda ring: ring.with_next_key(jwk.generate("ES256"), NOW, NOW, timedelta(minutes=1)))
    expiry = get_key_store().load().keys[0].expires_at
    assert expiry is not None
    issued = int(expiry.timestamp()) - 60
    claims = forge.claims(iat=issued, nbf=issued, exp=issued + 900)
    token = forge.token(claims=claims)
    assert refusal_of(token, now=expiry - timedelta(microseconds=1)) is None
    assert refusal_of(token, now=expiry) == Refusal.UNKNOWN_KEY


def test_removed_key_takes_its_remembered_tokens_along(forge: Forge, save: Save) -> None:
    """A token of a compromised key is refused as soon as the ring without it is loaded."""
    token = forge.token()
    assert refusal_of(token) is None
    now = datetime.now(UTC)
    save(
        lambda ring: ring.with_next_key(jwk.generate("ES256"), now, now, timedelta(0)).without(
            forge.key.kid
        )
    )
    assert refusal_of(token) == Refusal.UNKNOWN_KEY


def test_changed_ring_has_every_signature_checked_anew(forge: Forge, save: Save) -> None:
    """A signature that another ring has verified proves nothing, not even under the same kid."""
    token = forge.token()
    assert refusal_of(token) is None
    twin = jwk.generate("ES256") | {"kid": forge.key.kid}
    now = datetime.now(UTC)
    save(lambda ring: ring.without(forge.key.kid).with_next_key(twin, now, now, timedelta(hours=1)))
    assert refusal_of(token) == Refusal.SIGNATURE


def test_view_that_changes_claims_changes_them_for_itself_only(forge: Forge) -> None:
    """The claims are parsed at each access, so nothing leaks from one request into the next."""
    token = forge.token(claims=forge.claims(roles=["user"], tenant={"id": 1, "admins": []}))
    for _ in range(3):
        read = access.verify(token, now=NOW)
        assert (read.roles, read.claims["roles"]) == (("user",), ["user"])
        assert read.claims["tenant"] == {"id": 1, "admins": []}
        read.claims["roles"].append("admin")
        read.claims["tenant"]["admins"].append("mallory")


def test_refused_signature_is_not_remembered(forge: Forge, signature_checks: list[bytes]) -> None:
    """A forged token is checked and refused each time."""
    forged = forge.token().rpartition(".")[0] + "." + "A" * 86
    assert [refusal_of(forged) for _ in range(2)] == [Refusal.SIGNATURE] * 2
    assert len(signature_checks) == 2


def test_refused_claims_are_not_remembered(forge: Forge, signature_checks: list[bytes]) -> None:
    """A token that is not yet valid takes no place in the memory."""
    token = forge.token(claims=forge.claims(nbf=IN_AN_HOUR))
    assert [refusal_of(token) for _ in range(2)] == [Refusal.NOT_YET_VALID] * 2
    assert len(signature_checks) == 2


def test_good_token_does_not_vouch_for_its_payload(forge: Forge) -> None:
    """The memory goes by the whole token, so the same claims with another signature are refused."""
    token = forge.token()
    assert refusal_of(token) is None
    assert refusal_of(token[:-86] + "A" * 86) == Refusal.SIGNATURE


def test_memory_is_bounded() -> None:
    """A full memory forgets its older half, except for the tokens that are still presented."""
    memory = VerifiedSignatures()
    digests = [number.to_bytes(2) for number in range(MAX_SIGNATURES)]
    memory.add(b"in use", "claims")
    for digest in digests:
        memory.add(digest, "claims")
        assert memory.get(b"in use")
    kept = sum(memory.get(digest) is not None for digest in digests[::-1])
    assert MAX_SIGNATURES // 2 <= kept < MAX_SIGNATURES
    assert memory.get(digests[0]) is None
    assert len(memory._younger) + len(memory._older) <= MAX_SIGNATURES


def test_same_ring_that_is_loaded_again_keeps_the_memory(
    forge: Forge, signature_checks: list[bytes]
) -> None:
    """Otherwise each reload would cost the arithmetic for all tokens in use."""
    token = forge.token()
    assert refusal_of(token) is None
    path = Path(get_key_store().describe())
    path.write_bytes(path.read_bytes())
    assert not knows("made up", NOW)  # as above
    assert refusal_of(token) is None
    assert len(signature_checks) == 1


def test_forked_child_goes_on_with_the_memory(forge: Forge, signature_checks: list[bytes]) -> None:
    """It is the memory of the same ring, and has no lock that another thread could have held."""
    token, fresh = forge.token(), forge.token(claims=forge.claims(jti="another"))
    access.verify(token, now=NOW)

    def verifies() -> bool:
        return [refusal_of(token), refusal_of(fresh), len(signature_checks)] == [None, None, 2]

    assert holds_in_child(verifies)


def test_memory_holds_no_token(forge: Forge) -> None:
    """A dump of the process's memory gives away none from here."""
    token = forge.token()
    access.verify(token, now=NOW)
    ((digest, held),) = cache.get_loaded_ring().verified._younger.items()
    values = [digest, *(getattr(held, name) for name in held.__slots__)]
    assert forge.key.kid in values
    assert token.rpartition(".")[2] not in repr(values)
