"""manage.py revoke_tokens."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.management import ManagementUtility, call_command
from django.core.management.base import CommandError
from django.db import connection
from pytest_django import Settings

from jwt_auth.exceptions import Refusal
from jwt_auth.flows import Issued
from jwt_auth.models import RefreshTokenFamily, RevokedToken
from tests.conftest import MakeUser
from tests.flows.scene import authenticate, log_in, refresh, refusal_of
from tests.http.site import everything
from tests.management.commands import output_of

pytestmark = [pytest.mark.sql, pytest.mark.user_model, pytest.mark.smoke]


@pytest.fixture
def issued(user: AbstractBaseUser) -> Issued:
    """A session of Alice's."""
    return log_in(user)


@pytest.fixture
def bobs(make_user: MakeUser) -> Issued:
    """A session of Bob's."""
    return log_in(make_user("bob"))


def _run(*arguments: str) -> str:
    return output_of("revoke_tokens", *arguments)


@pytest.mark.parametrize("by", ["name", "key"])
def test_user_loses_every_session_and_token(
    by: str, issued: Issued, bobs: Issued, user: AbstractBaseUser
) -> None:
    """By user name or primary key; nobody else does."""
    said = _run("--user", user.get_username() if by == "name" else str(user.pk))
    assert said == (
        "Ended 1 sessions of the user. Access tokens issued to the user until now are refused.\n"
    )
    assert refusal_of(issued) is not None
    assert refusal_of(bobs) is None
    ended = RefreshTokenFamily.objects.get(pk=issued.family.pk)
    assert (ended.revocation_reason, ended.revoked_by_ip) == ("administrator", None)


def test_users_sessions_can_go_on(issued: Issued, bobs: Issued, user: AbstractBaseUser) -> None:
    """For new roles that must not wait for the next refresh."""
    said = _run("--user", user.get_username(), "--keep-sessions")
    assert said == (
        "Kept 1 sessions of the user. Access tokens issued to the user until now are refused.\n"
    )
    assert refusal_of(issued) is Refusal.TOKEN_VERSION
    assert refusal_of(refresh(issued)) is None
    assert refusal_of(bobs) is None


def test_only_one_users_sessions_can_go_on(issued: Issued) -> None:
    """Otherwise the option could be taken for one that spares sessions."""
    with pytest.raises(CommandError, match="add --user"):
        _run("--all", "--keep-sessions")
    assert refusal_of(issued) is None


def test_user_name_goes_before_key(make_user: MakeUser, issued: Issued, bobs: Issued) -> None:
    """Of a user called "7" and the user whose key is 7, the name is meant."""
    field = type(bobs.family.user).USERNAME_FIELD
    if type(bobs.family.user)._meta.pk.name == field:
        pytest.skip("the name is the key")
    type(issued.family.user)._default_manager.filter(pk=issued.family.user.pk).update(
        **{field: str(bobs.family.user.pk)}
    )
    _run("--user", str(bobs.family.user.pk))
    assert refusal_of(issued) is not None
    assert refusal_of(bobs) is None


def test_session_ends_alone(issued: Issued, user: AbstractBaseUser) -> None:
    """The user's other sessions go on."""
    other = log_in(user)
    assert _run("--session", str(issued.family.pk)) == "Ended the session.\n"
    assert refusal_of(issued) is not None
    assert refusal_of(other) is None


def test_jti_is_denied_for_as_long_as_it_can_live(issued: Issued, settings: Settings) -> None:
    """One access token; its session goes on. Its end is not known, so the longest counts."""
    settings.JWT_AUTH_CLOCK_LEEWAY = timedelta(seconds=30)
    _, token = authenticate(issued)
    said = _run("--jti", token.jti)
    assert said == "The access token with this jti is refused from now on.\n"
    assert refusal_of(issued) is not None
    assert RefreshTokenFamily.objects.get().revoked_at is None
    denial = RevokedToken.objects.get()
    assert denial.expires_at - denial.revoked_at == timedelta(hours=24, seconds=30)


def test_all_ends_everybodys_sessions(issued: Issued, bobs: Issued) -> None:
    """After which everybody has to log in."""
    assert _run("--all") == "Ended 2 sessions of all users.\n"
    assert refusal_of(issued) is not None
    assert refusal_of(bobs) is not None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--user", "nobody"], "no user with this name or primary key"),
        (["--user", ""], "no user with this name or primary key"),
        (["--user", "99999999999999999999999999"], "no user with this name or primary key"),
        (["--user", "\udcff"], "no user with this name or primary key"),
        (["--session", str(uuid4())], "no such session"),
        (["--session", "1"], "UUID"),
        (["--jti", ""], "not the token itself"),
        (["--jti", "eyJh.eyJz.c2ln"], "not the token itself"),
        (["--jti", "j" * 256], "not the token itself"),
        (["--jti", "\udcff"], "not the token itself"),
        ([], "required"),
        (["--all", "--user", "alice"], "not allowed"),
        (["--all", "--everything"], "Unrecognized"),
    ],
)
def test_wrong_argument_changes_nothing(arguments: list[str], says: str, issued: Issued) -> None:
    """One sentence says what is wrong, and the exit code is 1."""
    before = everything()
    with pytest.raises(CommandError, match=says) as raised:
        _run(*arguments)
    assert raised.value.returncode == 1
    assert everything() == before


def test_session_that_has_ended_is_an_error(issued: Issued) -> None:
    """Done means that this run has done it."""
    _run("--session", str(issued.family.pk))
    with pytest.raises(CommandError, match="has ended already"):
        _run("--session", str(issued.family.pk))


@pytest.mark.django_db(transaction=True)
def test_exit_code_and_sentence_reach_the_shell(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """1, on standard error, without a traceback."""
    # A second set-up would bind the log to this test's standard error, which is closed afterwards.
    monkeypatch.setattr("django.setup", lambda: None)
    with pytest.raises(SystemExit) as raised:
        ManagementUtility(["manage.py", "revoke_tokens", "--user", "nobody"]).execute()
    assert raised.value.code == 1
    said = capsys.readouterr()
    assert said.err.splitlines()[-1] == (
        "CommandError: There is no user with this name or primary key: check --user."
    )
    assert "Traceback" not in said.err
    assert not said.out


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("command", [["revoke_tokens", "--all"], ["clear_expired_tokens"]])
def test_missing_tables_are_told_with_the_remedy(command: list[str]) -> None:
    """Before the first `migrate`, and where the database is down."""
    table = RefreshTokenFamily._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO away")
    try:
        with pytest.raises(CommandError, match=r"run `manage\.py migrate`") as raised:
            call_command(*command)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE away RENAME TO {table}")
    assert raised.value.returncode == 1
