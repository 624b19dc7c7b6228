"""One tree of errors, each with a code and a sentence that holds nobody's secret."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from jwt_auth import exceptions
from jwt_auth.exceptions import (
    AccessTokenRefused,
    JWTAuthError,
    NewPasswordRefused,
    OneTimeTokenRefused,
    RefreshTokenRefused,
    Refusal,
)


def _tree(error: type[JWTAuthError]) -> Iterator[type[JWTAuthError]]:
    yield error
    for child in error.__subclasses__():
        yield from _tree(child)


ERRORS = [error for error in _tree(JWTAuthError) if error.__module__ == exceptions.__name__]


def test_tree_is_drawn_as_it_is() -> None:
    """The module's docstring shows every error, once."""
    drawn = re.findall(r"[A-Z][A-Za-z]+(?= {2,}|$)", exceptions.__doc__ or "", re.MULTILINE)
    drawn = [name for name in drawn if hasattr(exceptions, name)]
    assert sorted(drawn) == sorted(error.__name__ for error in ERRORS)


def test_every_error_has_a_code_of_its_own() -> None:
    """A client tells errors apart by their code. Only the status, 401 or 400, tells apart a refused
    access token and a refused one-time token.
    """
    assert OneTimeTokenRefused.code == AccessTokenRefused.code
    others = [error for error in ERRORS if error is not OneTimeTokenRefused]
    assert len({error.code for error in others} - {""}) == len(others)


def test_every_error_says_one_sentence() -> None:
    """It begins with a capital letter and ends with a full stop; those of other modules, too."""
    sentence = re.compile(r"[A-Z][ -~]*[.]")
    wrong = [error for error in _tree(JWTAuthError) if not sentence.fullmatch(error.message)]
    assert wrong == []


def test_message_may_be_said_more_exactly() -> None:
    """The class has a sentence; who raises it may know a better one."""
    assert str(JWTAuthError()) == JWTAuthError.message
    assert str(JWTAuthError("There is no disk.")) == "There is no disk."


@pytest.mark.parametrize("refused", [AccessTokenRefused, OneTimeTokenRefused])
def test_refused_token_says_one_thing_whatever_the_reason(
    refused: type[AccessTokenRefused | OneTimeTokenRefused],
) -> None:
    """The reason is for the log: it would tell a forger how far they have come."""
    errors = [refused(reason) for reason in Refusal]
    assert {str(error) for error in errors} == {refused.message}
    assert [error.reason for error in errors] == list(Refusal)


def test_refused_refresh_token_keeps_its_hint_out_of_the_message() -> None:
    """The hint is for a developer."""
    error = RefreshTokenRefused("two tabs")
    assert (error.hint, str(error)) == ("two tabs", RefreshTokenRefused.message)


def test_refused_password_carries_the_messages_of_the_validators() -> None:
    """They are meant for the user."""
    error = NewPasswordRefused(["Too short.", "Too common."])
    assert error.messages == ["Too short.", "Too common."]
    assert "short" not in str(error)
