"""From errors to answers, in a project's own views, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import DataError, IntegrityError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from jwt_auth.exceptions import AccessTokenRefused, JWTAuthError, KeyRingMissing, Refusal
from jwt_auth.http.exception_handler import exception_handler

Answer = Callable[[Exception], Any]


@pytest.fixture
def answer() -> Answer:
    """What a view that raises an error answers."""

    def answer(error: Exception) -> Any:
        class Failing(APIView):
            authentication_classes = ()
            permission_classes = ()

            def get(self, request: Any) -> None:
                raise error

            def get_exception_handler(self) -> Any:
                return exception_handler

        return Failing.as_view()(APIRequestFactory().get("/")).render()

    return answer


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Http404("a secret path"), 404, "not_found"),
        (PermissionDenied("a secret reason"), 403, "permission_denied"),
        (SuspiciousOperation("a secret doubt"), 400, "parse_error"),
        (exceptions.NotAcceptable(), 406, "not_acceptable"),
        (exceptions.APIException(["one", "two"]), 500, "error"),
        (exceptions.NotAuthenticated(), 403, "not_authenticated"),
        (JWTAuthError("a secret fault"), 503, "unavailable"),
        (KeyRingMissing("a secret path"), 503, "unavailable"),
        (DataError("a secret value"), 503, "unavailable"),
        (IntegrityError("a secret row"), 503, "unavailable"),
        (AccessTokenRefused(Refusal.EXPIRED), 401, "invalid_token"),
        (
            exceptions.AuthenticationFailed({"detail": "of another package", "code": "its_own"}),
            403,
            "its_own",
        ),
    ],
)
def test_error_is_answered_with_detail_and_code(
    error: Exception, status: int, code: str, answer: Answer
) -> None:
    """Nothing of the exception's own text is in it."""
    given = answer(error)
    assert given.status_code == status
    assert given.data["code"] == code
    assert given.data["detail"]
    assert b"secret" not in given.content


def test_validation_error_keeps_its_messages(answer: Answer) -> None:
    """By field, for a form to show."""
    given = answer(exceptions.ValidationError({"age": ["Too young."]}))
    assert given.data == {
        "detail": "The request is not valid.",
        "code": "invalid",
        "errors": {"age": ["Too young."]},
    }


def test_401_of_any_view_has_a_challenge() -> None:
    """RFC 9110 §15.5.2: a 401 must have one."""
    error = exceptions.AuthenticationFailed()
    error.status_code = 401
    given = exception_handler(error, {})
    assert given is not None
    assert given["WWW-Authenticate"] == 'Bearer realm="api"'


def test_database_that_fails_is_logged_with_its_reason(
    answer: Answer, log: pytest.LogCaptureFixture
) -> None:
    """An operator finds the driver's own words."""
    answer(DataError("the driver's own words"))
    (record,) = log.records
    assert record.getMessage().startswith("The database can't be used")
    assert "the driver's own words" in log.text


def test_other_errors_are_not_ours(answer: Answer) -> None:
    """A bug in a project's view stays one: Django reports it."""
    with pytest.raises(ZeroDivisionError):
        answer(ZeroDivisionError())
