"""The contract of revocation backends, in a class that the test of each inherits."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from pytest_django import Settings

from jwt_auth import flows
from jwt_auth.exceptions import AccessTokenRefused, Refusal
from jwt_auth.models import Reason
from jwt_auth.revocation.base import get_backend
from tests.conftest import MakeUser
from tests.flows.scene import BROWSER, authenticate, log_in, refresh, refusal_of
from tests.tokens.forging import forge as take_key


class RevocationContract:
    """Subclasses name the backend, and mark themselves `django_db(transaction=True)`."""

    REVOCATION: ClassVar[dict[str, Any]]

    @pytest.fixture(autouse=True)
    def _backend(self, settings: Settings) -> None:
        settings.JWT_AUTH_REVOCATION = self.REVOCATION

    def test_good_token_brings_its_user(self, user: AbstractBaseUser) -> None:
        """The user is an instance of the project's model, and complete once a field is read."""
        found, token = authenticate(log_in(user))
        assert isinstance(found, get_user_model())
        assert (found.pk, found.get_username()) == (user.pk, user.get_username())
        assert token.subject == str(user.pk)

    def test_refreshed_session_goes_on(self, user: AbstractBaseUser) -> None:
        """A rotation revokes nothing: the former access token is valid until it expires."""
        issued = log_in(user)
        successor = refresh(issued)
        assert (refusal_of(issued), refusal_of(successor)) == (None, None)

    @pytest.mark.parametrize("seen_before", [False, True])
    def test_ended_session_is_refused(self, user: AbstractBaseUser, seen_before: bool) -> None:
        """Immediately, whether or not the backend knew the user. Other sessions continue."""
        issued, other = log_in(user), log_in(user)
        assert not seen_before or refusal_of(issued) is None
        now = datetime.now(UTC)
        flows.end_session(issued.family.pk, reason=Reason.LOGOUT, client=BROWSER, now=now)
        assert refusal_of(issued) is Refusal.SESSION_ENDED
        assert refusal_of(other) is None

    @pytest.mark.parametrize("whose", ["known", "unknown"])
    def test_denied_token_is_refused(self, user: AbstractBaseUser, whose: str) -> None:
        """Immediately, by its ID alone. The session continues with its next token."""
        issued, now = log_in(user), datetime.now(UTC)
        _, token = authenticate(issued)
        user_id = user.pk if whose == "known" else None
        flows.deny_token(token.jti, user_id=user_id, expires_at=token.expires_at, now=now)
        assert refusal_of(issued) is Refusal.TOKEN_REVOKED
        assert refusal_of(refresh(issued)) is None

    def test_former_version_is_refused(self, user: AbstractBaseUser, make_user: MakeUser) -> None:
        """All earlier tokens of the user are refused, and no token of another user."""
        issued, other = log_in(user), log_in(make_user("bob"))
        assert refusal_of(issued) is None
        flows.log_out_everywhere(user.pk, client=BROWSER, now=datetime.now(UTC))
        assert refusal_of(issued) is Refusal.TOKEN_VERSION
        assert refusal_of(other) is None
        assert refusal_of(log_in(type(user)._default_manager.get(pk=user.pk))) is None

    def test_revoked_access_tokens_are_refused_and_the_sessions_go_on(
        self, user: AbstractBaseUser, make_user: MakeUser
    ) -> None:
        """Whether or not the backend knew them. Each session can refresh at once."""
        known, unknown, other = log_in(user), log_in(user), log_in(make_user("bob"))
        assert (refusal_of(known), refusal_of(other)) == (None, None)
        for _ in range(2):
            flows.revoke_access_tokens(user.pk, client=BROWSER, now=datetime.now(UTC))
            former = [known, unknown]
            assert [refusal_of(issued) for issued in former * 2] == [Refusal.TOKEN_VERSION] * 4
            known, unknown = refresh(known), refresh(unknown)
            assert [refusal_of(issued) for issued in (known, unknown)] == [None, None]
            assert [refusal_of(issued) for issued in former] == [Refusal.TOKEN_VERSION] * 2
        assert refusal_of(other) is None

    def test_end_of_everything_refuses_everybody(
        self, user: AbstractBaseUser, make_user: MakeUser
    ) -> None:
        """For good, whether or not one of them opens another session afterwards."""
        sessions = [log_in(user), log_in(make_user("bob"))]
        assert [refusal_of(session) for session in sessions] == [None, None]
        now = datetime.now(UTC)
        flows.end_all_sessions(reason=Reason.KEY_COMPROMISE, client=None, now=now)
        assert refusal_of(log_in(user)) is None
        assert [refusal_of(session) for session in sessions * 2] == [Refusal.SESSION_ENDED] * 4

    def test_deactivated_user_is_refused(self, user: AbstractBaseUser) -> None:
        """Immediately, wherever the user is saved."""
        issued = log_in(user)
        assert refusal_of(issued) is None
        user.is_active = False
        user.save()
        assert refusal_of(issued) is Refusal.USER_INACTIVE

    def test_hidden_user_is_refused(self, user: AbstractBaseUser, hidden: set[Any]) -> None:
        """As long as the default manager hides them, whatever the backend knew."""
        issued = log_in(user)
        assert refusal_of(issued) is None
        hidden.add(user.pk)
        assert refusal_of(issued) is Refusal.USER_UNKNOWN
        hidden.remove(user.pk)
        assert refusal_of(issued) is None

    @pytest.mark.parametrize(
        "subject", ["", "nobody", "-1", "9" * 40, "\0", "\ud800", "a}b", "x" * 300]
    )
    def test_subject_of_nobody_is_refused(self, user: AbstractBaseUser, subject: str) -> None:
        """Even if it can't be a key of the user model, or can't be encoded."""
        _, token = authenticate(log_in(user))
        with pytest.raises(AccessTokenRefused) as refused:
            get_backend().get_user(replace(token, subject=subject))
        assert refused.value.reason is Refusal.USER_UNKNOWN

    def test_subject_in_another_form_is_refused(self, user: AbstractBaseUser) -> None:
        """Fields and databases accept more spellings than the one that we issue."""
        forge, issued = take_key(), log_in(user)
        _, token = authenticate(issued)
        subject = str(user.pk)
        for other in (f" {subject}", f"{subject} ", f"0{subject}", f"+{subject}", subject.upper()):
            text = forge.token(claims={**token.claims, "sub": other})
            assert refusal_of(text) is (None if other == subject else Refusal.USER_UNKNOWN)

    def test_deleted_user_is_refused(self, user: Any) -> None:
        """Immediately. A new user with the key of the deleted one inherits nothing."""
        issued, key = log_in(user), {user._meta.pk.attname: user.pk}
        name = {user.USERNAME_FIELD: user.get_username()}
        assert refusal_of(issued) is None
        user.delete()
        assert refusal_of(issued) is not None
        type(user)._default_manager.create(**(key | name))
        assert refusal_of(issued) is not None

    def test_end_inside_transaction_holds_after_commit(self, user: AbstractBaseUser) -> None:
        """The admin's actions and signal receivers run inside a transaction."""
        issued = log_in(user)
        assert refusal_of(issued) is None
        with transaction.atomic():
            flows.log_out_everywhere(user.pk, client=BROWSER, now=datetime.now(UTC))
        assert refusal_of(issued) is Refusal.TOKEN_VERSION
