"""Errors that are raised anew, and what they leave behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.dispatch import Signal

from jwt_auth import signals
from jwt_auth.exceptions import InvalidKey, KeyRingTorn, KeyStoreError
from jwt_auth.keys import jwk
from jwt_auth.keys.redaction import anew, raised_anew
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores.base import load_ring
from jwt_auth.keys.stores.encryption import UnknownKeyEncryptionKey
from tests.keys.frames import shown_of
from tests.keys.stores import MemoryKeyStore
from tests.keys.test_jwk import RFC7515


def test_error_keeps_class_text_and_attributes() -> None:
    """Also one whose constructor takes something else than its text."""
    error = UnknownKeyEncryptionKey("0123")
    error.add_note("see there")
    fresh = anew(error)
    assert fresh is not error
    assert (type(fresh), str(fresh), fresh.id) == (type(error), str(error), "0123")
    assert fresh.__notes__ == ["see there"]


@raised_anew(KeyStoreError)
def fail(secret: str, error: type[Exception]) -> None:
    """Fail below a frame with a secret, for a reason that has one, too."""
    try:
        int(secret)
    except ValueError as cause:
        raise error from cause


def test_error_leads_nowhere() -> None:
    """Neither to its frames nor to what it came from; nor to the arguments."""
    with pytest.raises(KeyRingTorn) as torn:
        fail("hunter2", KeyRingTorn)
    assert torn.value.__cause__ is None
    assert torn.value.__context__ is None
    frames = [entry.name for entry in torn.traceback]
    assert frames[1:] == ["call"]
    assert "hunter2" not in repr(torn.traceback[-1].locals)


def test_error_of_another_kind_keeps_its_way() -> None:
    """It is somebody's mistake, who has to find the line."""
    with pytest.raises(RuntimeError) as wrong:
        fail("hunter2", RuntimeError)
    assert isinstance(wrong.value.__cause__, ValueError)
    assert wrong.traceback[-1].name == "fail"


@pytest.mark.parametrize(
    "use", [jwk.prepare_signing_key, jwk.prepare_verification_key, jwk.public_jwk]
)
def test_key_that_is_refused_is_not_shown(use: Callable[[dict[str, Any]], object]) -> None:
    """A request prepares keys, and meets one that somebody has put into the ring by hand."""
    with pytest.raises(InvalidKey) as refused:
        use(RFC7515 | {"use": "enc"})
    assert not any(RFC7515["d"] in text for text in shown_of(refused.value))


def test_receiver_that_fails_does_not_have_the_stores_error_behind_it(
    memory_store: MemoryKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Django logs its traceback."""
    failures: list[Exception] = []

    def receive(**kwargs: Any) -> None:
        raise RuntimeError

    def log(self: Signal, receiver: object, error: Exception) -> None:
        failures.append(error)

    monkeypatch.setattr(Signal, "_log_robust_failure", log)
    memory_store.failure = KeyStoreError()
    signals.key_event.connect(receive)
    try:
        with pytest.raises(KeyStoreError):
            load_ring(memory_store, known=KeyRing(version=1))
    finally:
        signals.key_event.disconnect(receive)
    (failure,) = failures
    assert failure.__context__ is None
