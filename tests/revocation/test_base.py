"""What the flows tell a backend, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar
from unittest.mock import Mock

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import DatabaseError, transaction
from pytest_django import Settings

from jwt_auth import flows
from jwt_auth.flows import Issued
from jwt_auth.models import Reason, RefreshTokenFamily, RefreshTokenFamilyQuerySet
from jwt_auth.revocation.base import Denial
from jwt_auth.revocation.database import DatabaseRevocation
from tests.flows.scene import BROWSER, log_in

pytestmark = [pytest.mark.sql, pytest.mark.user_model]

NOW = datetime(2030, 1, 1, tzinfo=UTC)

Flow = Callable[[Issued], Any]

#: Each flow that revokes, and the denial that it has to tell the backend.
FLOWS: dict[str, tuple[Flow, Callable[[Issued], Denial]]] = {
    "session": (
        lambda issued: flows.end_session(
            issued.family.pk, reason=Reason.LOGOUT, client=BROWSER, now=NOW
        ),
        lambda issued: Denial(user_id=issued.family.user_id, session_ids=[issued.family.pk]),
    ),
    "user": (
        lambda issued: flows.log_out_everywhere(issued.family.user_id, client=BROWSER, now=NOW),
        lambda issued: Denial(user_id=issued.family.user_id, whole_user=True),
    ),
    "access tokens": (
        lambda issued: flows.revoke_access_tokens(issued.family.user_id, client=BROWSER, now=NOW),
        lambda issued: Denial(user_id=issued.family.user_id, whole_user=True),
    ),
    "deletion": (
        lambda issued: flows.end_deleted_user(issued.family.user_id),
        lambda issued: Denial(user_id=issued.family.user_id, whole_user=True),
    ),
    "everybody": (
        lambda issued: flows.end_all_sessions(reason=Reason.LOGOUT, client=None, now=NOW),
        lambda issued: Denial(user_id=None),
    ),
    "token": (
        lambda issued: flows.deny_token("j", user_id=None, expires_at=NOW, now=NOW),
        lambda issued: Denial(user_id=None, jtis=["j"]),
    ),
}
_ENDING = ["session", "user", "everybody"]


class RecordingRevocation(DatabaseRevocation):
    """Records the step, the denial and the number of sessions that had ended by then."""

    notes: ClassVar[list[tuple[str, Denial, int]]] = []

    def deny(self, denial: Denial) -> None:
        self._note("deny", denial)

    def confirm(self, denial: Denial) -> None:
        self._note("confirm", denial)

    def _note(self, step: str, denial: Denial) -> None:
        ended = RefreshTokenFamily.objects.exclude(revoked_at=None).count()
        self.notes.append((step, denial, ended))


@pytest.fixture
def notes(settings: Settings) -> Iterator[list[tuple[str, Denial, int]]]:
    """The steps that the backend was told, in order."""
    settings.JWT_AUTH_REVOCATION = {"BACKEND": f"{__name__}.RecordingRevocation"}
    RecordingRevocation.notes.clear()
    yield RecordingRevocation.notes
    RecordingRevocation.notes.clear()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("flow", FLOWS)
def test_backend_is_told_before_and_after(
    user: AbstractBaseUser, notes: list[tuple[str, Denial, int]], flow: str
) -> None:
    """Denied before the write to the database, confirmed after the commit."""
    issued = log_in(user)
    act, denial = FLOWS[flow]
    act(issued)
    assert [note[:2] for note in notes] == [("deny", denial(issued)), ("confirm", denial(issued))]
    assert [note[2] for note in notes] == [0, 1 if flow in _ENDING else 0]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_rolled_back", [False, True])
@pytest.mark.parametrize("flow", FLOWS)
def test_confirmation_waits_for_commit(
    user: AbstractBaseUser,
    notes: list[tuple[str, Denial, int]],
    flow: str,
    is_rolled_back: bool,
) -> None:
    """Other connections don't see the write before it, and never if it is rolled back."""
    issued = log_in(user)
    with transaction.atomic():
        FLOWS[flow][0](issued)
        assert [note[0] for note in notes] == ["deny"]
        transaction.set_rollback(is_rolled_back)
    assert [note[0] for note in notes] == (["deny"] if is_rolled_back else ["deny", "confirm"])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("flow", _ENDING)
def test_write_that_fails_is_not_confirmed(
    user: AbstractBaseUser,
    notes: list[tuple[str, Denial, int]],
    flow: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The caller gets the error, and so doesn't take the session for ended."""
    issued = log_in(user)
    monkeypatch.setattr(RefreshTokenFamilyQuerySet, "end", Mock(side_effect=DatabaseError))
    with pytest.raises(DatabaseError):
        FLOWS[flow][0](issued)
    assert [note[0] for note in notes] == ["deny"]
