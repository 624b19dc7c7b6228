"""Issue, verify and use one-time tokens: what a token is bound to, and what leaves it unused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.dispatch import Signal
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from jwt_auth import flows, signals
from jwt_auth.exceptions import (
    KeySignerError,
    NewPasswordRefused,
    OneTimeTokenRefused,
    Refusal,
    VerifyOnly,
)
from jwt_auth.flows import EMAIL_CONFIRMATION, PASSWORD_RESET
from jwt_auth.keys import cache, lifecycle
from jwt_auth.keys.stores.file import FileKeyStore
from jwt_auth.models import ConfirmedAddress, UsedOneTimeToken, has_version_field
from jwt_auth.tokens import one_time
from tests.conftest import MakeUser
from tests.flows.scene import BROWSER, log_in, refusal_of
from tests.keys.issuer import Issuer
from tests.keys.signers import DOWN, LocalSigner

pytestmark = [pytest.mark.django_db, pytest.mark.sql, pytest.mark.user_model]

NEW = "a quite different horse"


def _now() -> datetime:
    return datetime.now(UTC)


def issue(
    user: AbstractBaseUser,
    purpose: str = "invitation",
    *,
    lifetime: timedelta = timedelta(hours=1),
    now: datetime | None = None,
) -> str:
    return flows.issue_one_time_token(user, purpose=purpose, lifetime=lifetime, now=now or _now())


def use(token: str, purpose: str = "invitation", **named: Any) -> AbstractBaseUser:
    return flows.use_one_time_token(token, purpose=purpose, **{"now": _now()} | named)


def refusal_of_use(token: str, purpose: str = "invitation", **named: Any) -> Refusal | None:
    """Say why the token is refused; looking at it gives the same reason as using it."""
    named = {"now": _now()} | named
    reasons: list[Refusal | None] = []
    for call in (flows.verify_one_time_token, flows.use_one_time_token):
        try:
            call(token, purpose=purpose, **named)
        except OneTimeTokenRefused as refused:
            reasons.append(refused.reason)
        else:
            reasons.append(None)
    assert reasons[0] == reasons[1]
    return reasons[0]


def stored(user: AbstractBaseUser) -> Any:
    return get_user_model()._default_manager.get(pk=user.pk)


@contextmanager
def heard(signal: Signal) -> Iterator[list[dict[str, Any]]]:
    """The arguments that the signal is sent with."""
    calls: list[dict[str, Any]] = []

    def hear(sender: Any, signal: Signal, **named: Any) -> None:
        calls.append(named)

    signal.connect(hear)
    try:
        yield calls
    finally:
        signal.disconnect(hear)


# Use


@pytest.mark.smoke
def test_token_is_used_once(user: AbstractBaseUser) -> None:
    """Looking at it, as often as one likes, doesn't use it."""
    token = issue(user)
    for _ in range(2):
        assert flows.verify_one_time_token(token, purpose="invitation", now=_now()) == user
    assert use(token) == user
    assert refusal_of_use(token) == Refusal.USED
    assert UsedOneTimeToken.objects.count() == 1


def test_each_token_is_used_for_itself(user: AbstractBaseUser) -> None:
    """A second mail doesn't make the first one worthless."""
    first, second = issue(user), issue(user)
    use(second)
    use(first)


def test_purpose_is_compared(user: AbstractBaseUser) -> None:
    """A project's own purposes are as separate as ours."""
    assert refusal_of_use(issue(user, "invitation"), "invoice") == Refusal.PURPOSE


def test_act_gets_the_user_and_its_error_leaves_the_token_unused(user: AbstractBaseUser) -> None:
    """Whatever the error is, and what it had already written is gone, too."""
    token = issue(user)
    seen: list[AbstractBaseUser] = []

    def fail(given: Any) -> None:
        seen.append(given)
        given.is_active = False
        given.save()
        raise LookupError

    with pytest.raises(LookupError):
        use(token, act=fail)
    assert seen == [user]
    assert stored(user).is_active
    assert use(token) == user


def test_error_of_the_database_in_act_is_no_used_token(user: AbstractBaseUser) -> None:
    """Only the row of the token itself says that it is used."""

    def fail(_: object) -> None:
        raise IntegrityError

    token = issue(user)
    with pytest.raises(IntegrityError):
        use(token, act=fail)
    assert use(token) == user


@pytest.mark.django_db(transaction=True)
def test_transaction_is_repeated_after_a_deadlock(user: AbstractBaseUser) -> None:
    """The row of the token went with the first attempt, so the second can insert it again."""
    attempts: list[int] = []

    class Driver(Exception):
        sqlstate = "40P01"
        pgcode = "40P01"

    def deadlock(_: object) -> None:
        attempts.append(1)
        if len(attempts) < 3:
            raise DatabaseError from Driver()

    assert use(issue(user), act=deadlock) == user
    assert len(attempts) == 3


@pytest.mark.parametrize("purpose", ["", None])
def test_token_needs_a_purpose(purpose: Any, user: AbstractBaseUser) -> None:
    with pytest.raises(ValueError, match="needs a purpose"):
        issue(user, purpose)


@pytest.mark.parametrize("seconds", [-1, 0, 0.5, 24 * 3600 + 1])
def test_lifetime_has_limits(seconds: float, user: AbstractBaseUser) -> None:
    """The longest is a day: a former key verifies for no longer."""
    with pytest.raises(ValueError, match="between a second and 1 day"):
        issue(user, lifetime=timedelta(seconds=seconds))


@pytest.mark.parametrize("lifetime", [3600, None, "1:00:00"])
def test_lifetime_is_a_timedelta(lifetime: Any, user: AbstractBaseUser) -> None:
    """A number could mean minutes."""
    with pytest.raises(TypeError, match="must be a timedelta"):
        issue(user, lifetime=lifetime)


def test_token_ends_with_its_lifetime(user: AbstractBaseUser) -> None:
    """To the second."""
    now = _now().replace(microsecond=0)
    token = issue(user, lifetime=timedelta(hours=24), now=now)
    end = now + timedelta(hours=24)
    assert refusal_of_use(token, now=end) == Refusal.EXPIRED
    assert use(token, now=end - timedelta(seconds=1)) == user


def test_leeway_is_for_both_ends(user: AbstractBaseUser, settings: Settings) -> None:
    """As with access tokens."""
    settings.JWT_AUTH_CLOCK_LEEWAY = timedelta(seconds=30)
    now = _now().replace(microsecond=0)
    token = issue(user, now=now)
    assert refusal_of_use(token, now=now - timedelta(seconds=31)) == Refusal.NOT_YET_VALID
    use(token, now=now - timedelta(seconds=30))
    token = issue(user, now=now)
    assert refusal_of_use(token, now=now + timedelta(hours=1, seconds=30)) == Refusal.EXPIRED
    use(token, now=now + timedelta(hours=1, seconds=29))


# What a token is bound to


def _change_password(user: Any) -> None:
    user.set_password(NEW)
    user.save()


def _deactivate(user: Any) -> None:
    user.is_active = False
    user.save()


def _log_out_everywhere(user: Any) -> None:
    flows.log_out_everywhere(user.pk, client=BROWSER, now=_now())


def _revoke_access_tokens(user: Any) -> None:
    flows.revoke_access_tokens(user.pk, client=BROWSER, now=_now())


def _change_address(user: Any) -> None:
    user.email = "other@example.com"
    user.save()


def _change_case_of_address(user: Any) -> None:
    user.email = user.email.upper()
    user.save()


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (_change_password, Refusal.TOKEN_VERSION),
        (_log_out_everywhere, Refusal.TOKEN_VERSION),
        (_revoke_access_tokens, Refusal.TOKEN_VERSION),
        (_deactivate, Refusal.USER_INACTIVE),
        (_change_address, Refusal.BINDING),
        (_change_case_of_address, Refusal.BINDING),
        (lambda user: user.delete(), Refusal.USER_UNKNOWN),
    ],
)
def test_token_is_dead_after_a_change(
    change: Callable[[Any], None], refusal: Refusal, user: AbstractBaseUser
) -> None:
    """Each of these says that the mail may be in the wrong hands, or was."""
    tokens = [issue(user, purpose) for purpose in ("invitation", PASSWORD_RESET)]
    change(stored(user))
    assert refusal_of_use(tokens[0]) == refusal
    assert refusal_of_use(tokens[1], PASSWORD_RESET) == refusal
    assert not UsedOneTimeToken.objects.exists()


def test_token_of_a_user_who_is_active_again_stays_dead(user: AbstractBaseUser) -> None:
    """The deactivation has raised the version."""
    token = issue(user)
    again = stored(user)
    _deactivate(again)
    again.is_active = True
    again.save()
    assert refusal_of_use(token) == Refusal.TOKEN_VERSION


def test_update_that_sends_no_signal_is_seen(user: AbstractBaseUser) -> None:
    """The row is read at each use."""
    token = issue(user)
    get_user_model()._default_manager.filter(pk=user.pk).update(is_active=False)
    assert refusal_of_use(token) == Refusal.USER_INACTIVE


def test_token_issued_for_an_old_instance_is_dead(user: AbstractBaseUser) -> None:
    """The instance has the former version, and the token no other."""
    before = stored(user)
    if not has_version_field(type(user)):
        flows.log_out_everywhere(user.pk, client=BROWSER, now=_now())
        before = stored(user)
        issue(before)  # reads the version, which the instance then keeps
    _change_password(stored(user))
    assert refusal_of_use(issue(before)) == Refusal.TOKEN_VERSION


def test_hidden_user_has_no_token(user: AbstractBaseUser, hidden: set[Any]) -> None:
    """A user whom the default manager hides is refused, as everywhere."""
    token = issue(user)
    hidden.add(user.pk)
    assert refusal_of_use(token) == Refusal.USER_UNKNOWN
    hidden.clear()
    use(token)


_tenant = "a"


def tenant() -> str:
    return _tenant


def test_token_of_another_tenant_is_refused(
    user: AbstractBaseUser, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """User 1 with the same address in both is not the same user."""
    settings.JWT_AUTH_TENANT = f"{__name__}.tenant"
    token = issue(user)
    monkeypatch.setitem(globals(), "_tenant", "b")
    assert refusal_of_use(token) == Refusal.BINDING


def test_secret_key_may_be_rotated(user: AbstractBaseUser, settings: Settings) -> None:
    """The fallbacks are honoured; without them, mails that are under way are worthless."""
    token = issue(user)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "rotated " * 8, [settings.SECRET_KEY]
    assert flows.verify_one_time_token(token, purpose="invitation", now=_now()) == user
    settings.SECRET_KEY_FALLBACKS = []
    assert refusal_of_use(token) == Refusal.BINDING


def test_token_shows_no_address(user: AbstractBaseUser) -> None:
    """Two tokens of one address have nothing in common that shows it."""
    first, second = (
        one_time.verify(issue(user), purpose="invitation", now=_now()) for _ in range(2)
    )
    assert first.binding != second.binding
    assert "example.com" not in repr(first)


def test_user_without_an_address_may_have_tokens(make_user: MakeUser) -> None:
    """A project may send them another way; nothing can be confirmed with one."""
    bob = stored(make_user("bob"))
    if type(bob).USERNAME_FIELD == "email":
        return  # such a user always has one
    bob.email = ""
    bob.save()
    assert use(issue(bob)) == bob
    token = issue(bob, EMAIL_CONFIRMATION)
    with pytest.raises(OneTimeTokenRefused):
        flows.confirm_address(token, now=_now())
    assert not flows.is_email_confirmed(bob)
    assert not ConfirmedAddress.objects.exists()


def test_stranger_is_no_user() -> None:
    """A caller that passes something else is told so."""
    with pytest.raises(TypeError):
        issue(object())  # type: ignore[arg-type]  # that is the point


# Keys


@pytest.fixture
def ring(file_store: FileKeyStore) -> FileKeyStore:
    call_command("generate_keys", verbosity=0)
    return file_store


def test_token_of_a_day_outlives_a_rotation(user: AbstractBaseUser, ring: FileKeyStore) -> None:
    """The former key verifies until the last token that it can have signed has expired."""
    now = _now()
    token = issue(user, lifetime=timedelta(hours=24), now=now)
    call_command("rotate_keys", "--now", verbosity=0)
    cache.reset()
    call_command("rotate_keys", "--retire", verbosity=0)
    cache.reset()
    last = now.replace(microsecond=0) + timedelta(hours=24) - timedelta(seconds=1)
    assert use(token, now=last) == user
    assert lifecycle.retention() > timedelta(hours=24)


def test_token_never_outlives_its_key(user: AbstractBaseUser, ring: FileKeyStore) -> None:
    """A key whose end is already fixed ends its tokens with it; then ``exp`` says so."""
    call_command("rotate_keys", verbosity=0)  # the next one is published, and signs later
    cache.reset()
    signing = ring.load().signing_key(_now())
    assert signing.expires_at is not None
    late = signing.expires_at - timedelta(hours=2)
    waiting = ring.load().find_waiting(_now())
    assert waiting is not None
    # As a process that has an old copy of the ring would: it doesn't know the next key.
    full = ring.load()
    ring.save(full.without(waiting.kid), expected_version=full.version)
    cache.reset()
    token = issue(user, lifetime=timedelta(hours=24), now=late)
    end = signing.expires_at.replace(microsecond=0)
    assert flows.verify_one_time_token(
        token, purpose="invitation", now=end - timedelta(seconds=1)
    ).pk
    assert refusal_of_use(token, now=end) == Refusal.EXPIRED


def test_token_of_a_compromised_key_is_dead(user: AbstractBaseUser, ring: FileKeyStore) -> None:
    """At once: a thief of the key could sign any."""
    token = issue(user)
    kid = ring.load().signing_key(_now()).kid
    call_command("rotate_keys", "--compromised", kid, "--yes", verbosity=0)
    cache.reset()
    assert refusal_of_use(token) == Refusal.UNKNOWN_KEY
    assert use(issue(user)) == user


def test_signer_signs_one_time_tokens(
    user: AbstractBaseUser, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that holds the key signs them as well; while it is down, none are issued, and
    those that are under way can be used.
    """
    settings.JWT_AUTH_KEY_SIGNER = {"BACKEND": "tests.keys.signers.LocalSigner"}
    settings.JWT_AUTH_KEY_STORE = {
        **settings.JWT_AUTH_KEY_STORE,
        "OPTIONS": {"PATH": str(tmp_path / "keys")},
    }
    call_command("generate_keys", verbosity=0)
    token = issue(user)
    monkeypatch.setattr(LocalSigner, "failure", DOWN)
    with pytest.raises(KeySignerError):
        issue(user)
    assert use(token) == user
    cache.reset()


@pytest.mark.usefixtures("issuer")
def test_service_that_only_verifies_issues_and_accepts_none(user: AbstractBaseUser) -> None:
    """Its users, if it has any, are not the issuer's: the same key may be somebody else's."""
    for call in (
        lambda: issue(user),
        lambda: flows.verify_one_time_token("a.b.c", purpose="invitation", now=_now()),
        lambda: use("a.b.c"),
    ):
        with pytest.raises(VerifyOnly):
            call()


def test_service_that_shares_the_database_issues_none(
    user: AbstractBaseUser, issuer: Issuer, settings: Settings
) -> None:
    """It has no private key."""
    settings.JWT_AUTH_REVOCATION = {"BACKEND": "jwt_auth.revocation.database.DatabaseRevocation"}
    with pytest.raises(VerifyOnly):
        issue(user)
    assert refusal_of_use("a.b.c") == Refusal.ENCODING


# Passwords


@pytest.mark.smoke
def test_reset_sets_the_password_and_ends_every_session(user: AbstractBaseUser) -> None:
    """Nobody is logged in by it."""
    session = log_in(user)
    token, other = issue(user, PASSWORD_RESET), issue(user, PASSWORD_RESET)
    returned = flows.reset_password(token, new_password=NEW, now=_now(), client=BROWSER)
    assert returned == user
    assert stored(user).check_password(NEW)
    assert refusal_of(session) == Refusal.TOKEN_VERSION
    assert not flows.list_sessions(user.pk, now=_now()).exists()
    # Other mails about the same wish are worthless, too.
    assert refusal_of_use(other, PASSWORD_RESET) == Refusal.TOKEN_VERSION


def test_refused_password_leaves_the_token(user: AbstractBaseUser, password: str) -> None:
    """The user tries another one, with the same mail."""
    token = issue(user, PASSWORD_RESET)
    for refused in ("short", "12345678901", user.get_username()):
        with pytest.raises(NewPasswordRefused) as error:
            flows.reset_password(token, new_password=refused, now=_now())
        assert error.value.messages
    assert stored(user).check_password(password)
    flows.reset_password(token, new_password=NEW, now=_now())


def test_error_while_saving_leaves_the_token(
    user: AbstractBaseUser, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the password nor the sessions have changed."""
    session = log_in(user)
    token = issue(user, PASSWORD_RESET)

    def fail(*args: Any, **named: Any) -> None:
        raise DatabaseError

    with monkeypatch.context() as patch:
        patch.setattr(flows, "end_user_sessions", fail)
        with pytest.raises(DatabaseError):
            flows.reset_password(token, new_password=NEW, now=_now())
    assert stored(user).check_password(password)
    assert refusal_of(session) is None
    flows.reset_password(token, new_password=NEW, now=_now())


def test_user_without_a_password_may_set_one(user: AbstractBaseUser) -> None:
    """As with Django's form for the link: who may have a mail is decided when it is sent."""
    fresh = stored(user)
    fresh.set_unusable_password()
    fresh.save()
    flows.reset_password(issue(stored(user), PASSWORD_RESET), new_password=NEW, now=_now())
    assert stored(user).check_password(NEW)


def test_reset_writes_nothing_but_the_password(user: AbstractBaseUser) -> None:
    """A change that another request saves meanwhile stays."""
    token = issue(user, PASSWORD_RESET)
    validate = flows.passwords._validate

    def log_in_meanwhile(*args: Any) -> None:
        get_user_model()._default_manager.filter(pk=user.pk).update(last_login=_now())
        validate(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flows.passwords, "_validate", log_in_meanwhile)
        flows.reset_password(token, new_password=NEW, now=_now())
    assert stored(user).last_login is not None


# Addresses


@pytest.mark.smoke
def test_confirmation_is_of_one_address(user: AbstractBaseUser) -> None:
    """A new address has to be confirmed itself; the former one counts again if it is back."""
    assert not flows.is_email_confirmed(user)
    former = user.email  # type: ignore[attr-defined]  # each of the models has one
    assert flows.confirm_address(issue(user, EMAIL_CONFIRMATION), now=_now()) == user
    assert flows.is_email_confirmed(user)
    fresh = stored(user)
    _change_case_of_address(fresh)
    assert not flows.is_email_confirmed(fresh)
    flows.confirm_address(issue(fresh, EMAIL_CONFIRMATION), now=_now())
    assert flows.is_email_confirmed(fresh)
    fresh.email = former
    assert not flows.is_email_confirmed(fresh)
    assert ConfirmedAddress.objects.count() == 1


def test_confirmation_ends_no_session(user: AbstractBaseUser) -> None:
    session = log_in(user)
    flows.confirm_address(issue(user, EMAIL_CONFIRMATION), now=_now())
    assert refusal_of(session) is None


# Signals


@pytest.mark.django_db(transaction=True)
def test_use_and_confirmation_are_reported_after_the_commit(user: AbstractBaseUser) -> None:
    """With the purpose and the client; nothing of the token, and nothing of what is undone."""
    token = issue(user, EMAIL_CONFIRMATION)
    with (
        heard(signals.one_time_token_used) as used,
        heard(signals.email_confirmed) as confirmed,
    ):
        with transaction.atomic():
            flows.confirm_address(token, now=_now(), client=BROWSER)
            transaction.set_rollback(True)
        assert used == confirmed == []
        flows.confirm_address(token, now=_now(), client=BROWSER)
    assert used == [{"user": user, "purpose": EMAIL_CONFIRMATION, "client": BROWSER}]
    assert confirmed == [{"user": user, "client": BROWSER}]


def test_refusal_is_reported_with_the_user_if_the_token_is_genuine(user: AbstractBaseUser) -> None:
    """A forged token may name anybody, so nobody is named for it."""
    token = issue(user)
    use(token)
    with heard(signals.one_time_token_refused) as refused:
        for text in (token, "forged"):
            with pytest.raises(OneTimeTokenRefused):
                use(text, client=BROWSER)
    told = {"purpose": "invitation", "client": BROWSER}
    assert refused == [
        {**told, "reason": Refusal.USED, "user_id": str(user.pk)},
        {**told, "reason": Refusal.MALFORMED, "user_id": None},
    ]


def test_use_costs_few_statements(user: AbstractBaseUser) -> None:
    """The INSERT, the user, and for some models the version."""
    token = issue(user)
    with CaptureQueriesContext(connection) as captured:
        use(token)
    texts = [query["sql"].split()[0] for query in captured.captured_queries]
    statements = [text for text in texts if text in {"SELECT", "INSERT", "UPDATE", "DELETE"}]
    assert statements == ["INSERT", *["SELECT"] * (1 if has_version_field(type(user)) else 2)]
