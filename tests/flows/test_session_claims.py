"""The claims of a session: in each of its tokens, and refused before anything is stored."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from pytest_django import Settings

from jwt_auth import flows
from jwt_auth.exceptions import ClaimsInvalid
from jwt_auth.flows import Issued
from jwt_auth.models import RefreshTokenFamily
from tests.flows.scene import BROWSER, authenticate, log_in, refresh

pytestmark = [pytest.mark.django_db, pytest.mark.sql, pytest.mark.user_model, pytest.mark.smoke]

#: One of each type that JSON has.
CLAIMS: dict[str, Any] = {
    "tenant": "acme",
    "device": {"name": "Zoë's 📱", "ids": [1, 2.5, -(2**63)]},
    "trusted": True,
    "manager": None,
}


def open_session(user: Any, claims: Any, **named: Any) -> Issued:
    """Log a user in, with claims."""
    return flows.log_in(user, client=BROWSER, now=datetime.now(UTC), claims=claims, **named)


def claims_in(issued: Issued) -> Mapping[str, Any]:
    """Read the claims of an access token that is valid now."""
    return authenticate(issued)[1].claims


def own_claims_in(issued: Issued) -> dict[str, Any]:
    """Read those of ``CLAIMS``."""
    claims = claims_in(issued)
    return {name: claims.get(name) for name in CLAIMS}


# ---- Callables of projects


def fresher(user: Any) -> dict[str, Any]:
    """Give claims without regard for the session's."""
    return {"tenant": "fresher", "plan": "free"}


def passing(user: Any, *, session_claims: dict[str, Any]) -> dict[str, Any]:
    """Hand on everything that it is given."""
    return session_claims


def looking(user: Any, *, session_claims: dict[str, Any]) -> dict[str, Any]:
    """Change what it was given, in depth, and hand it on."""
    session_claims["device"]["ids"].clear()
    return {**session_claims, "tenant": session_claims.pop("tenant").upper()}


def picking(user: Any, session_claims: dict[str, Any]) -> dict[str, Any]:
    """Hand on one claim only."""
    return {"methods": session_claims["amr"]}


def promoting(user: Any, session_claims: dict[str, Any]) -> dict[str, Any]:
    """Claim a second factor that the session doesn't have."""
    return {**session_claims, "amr": ["pwd", "otp"]}


def wordless(user: Any, session_claims: dict[str, Any]) -> None:
    """Forget to return anything."""


# ---- Where they are


def test_every_token_of_the_session_has_its_claims(user: AbstractBaseUser) -> None:
    """At the login, at a refresh, and at a retry of it."""
    opened = open_session(user, CLAIMS)
    refreshed = refresh(opened, key="a key")
    retried = refresh(opened, key="a key")
    last = refresh(retried)
    assert [own_claims_in(issued) for issued in (opened, refreshed, retried, last)] == [CLAIMS] * 4


def test_sessions_of_a_user_have_different_claims(user: AbstractBaseUser) -> None:
    """They belong to the login, not to the user."""
    one, other = open_session(user, {"tenant": "acme"}), open_session(user, {"tenant": "globex"})
    assert [claims_in(refresh(each))["tenant"] for each in (one, other)] == ["acme", "globex"]


def test_claims_are_stored_as_they_were_given(user: AbstractBaseUser) -> None:
    """A later change of the caller's dict changes nothing, and a tuple is a list at once."""
    given: dict[str, Any] = {"ids": (1, 2)}
    opened = open_session(user, given)
    given["ids"] = "changed"
    assert claims_in(opened)["ids"] == claims_in(refresh(opened))["ids"] == [1, 2]


def test_session_from_before_the_column_has_an_authentication_time(user: AbstractBaseUser) -> None:
    """The time of its login. Nothing says by which methods."""
    opened = log_in(user, now=datetime.now(UTC) - timedelta(days=1))
    RefreshTokenFamily.objects.update(claims={})
    claims = claims_in(refresh(opened))
    assert claims["auth_time"] == int(opened.family.created_at.timestamp())
    assert "amr" not in claims


@pytest.mark.parametrize("callable_", [None, f"{__name__}.passing"])
def test_name_that_was_reserved_later_is_left_out(
    callable_: str | None,
    user: AbstractBaseUser,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A new version of the package has claims of more names. The session goes on without its own.

    The package's value is used, and the log names the session and the claim.
    """
    settings.JWT_AUTH_CLAIMS = callable_
    opened = open_session(user, CLAIMS)
    RefreshTokenFamily.objects.update(claims={**CLAIMS, "sub": "someone else", "roles": ["admin"]})
    refreshed = refresh(opened)
    token = authenticate(refreshed)[1]
    assert (token.subject, token.roles) == (str(user.pk), ())
    assert own_claims_in(refreshed) == CLAIMS
    assert f"Session {opened.family.pk} has claims that are now reserved: ['roles', 'sub']." in (
        caplog.text
    )
    assert "someone else" not in caplog.text


# ---- How and when the user was authenticated


@pytest.mark.parametrize(
    ("claims", "amr"),
    [(None, ["pwd"]), ({"tenant": "acme"}, ["pwd"]), ({"amr": ["pwd", "otp"]}, ["pwd", "otp"])],
)
def test_login_with_a_password_says_so(
    user: AbstractBaseUser, password: str, claims: Any, amr: list[str]
) -> None:
    """Unless the caller knows better. Each refresh repeats it, although it asks for no password."""
    opened = open_session(user, claims, password=password)
    assert claims_in(opened)["amr"] == claims_in(refresh(opened))["amr"] == amr


def test_login_without_a_password_says_nothing_about_methods(user: AbstractBaseUser) -> None:
    assert "amr" not in claims_in(log_in(user))


def test_authentication_time_is_that_of_the_login(user: AbstractBaseUser) -> None:
    """A refresh doesn't authenticate anybody."""
    now = datetime.now(UTC) - timedelta(minutes=5)
    opened = log_in(user, now=now)
    assert opened.family.claims == {}
    for issued in (opened, refresh(opened)):
        assert claims_in(issued)["auth_time"] == int(now.timestamp())


def test_authentication_time_can_be_an_earlier_one(user: AbstractBaseUser) -> None:
    """As of a user who logged in through another provider an hour ago."""
    earlier = int(datetime.now(UTC).timestamp()) - 3600
    opened = open_session(user, {"auth_time": earlier})
    assert claims_in(refresh(opened))["auth_time"] == earlier


def test_authentication_time_of_a_clock_that_is_ahead_is_now(user: AbstractBaseUser) -> None:
    """So that no service finds a time in the future."""
    now = datetime.now(UTC)
    ahead = int(now.timestamp()) + 30
    opened = flows.log_in(user, client=BROWSER, now=now, claims={"auth_time": ahead})
    assert claims_in(opened)["auth_time"] == int(now.timestamp())


# ---- JWT_AUTH_CLAIMS


def use(settings: Settings, name: str) -> None:
    """Name one of the callables above."""
    settings.JWT_AUTH_CLAIMS = f"{__name__}.{name}"


def test_claims_of_the_project_are_added(user: AbstractBaseUser, settings: Settings) -> None:
    """Of two claims with one name, the fresher one is used."""
    use(settings, "fresher")
    claims = claims_in(refresh(open_session(user, CLAIMS)))
    assert (claims["tenant"], claims["plan"]) == ("fresher", "free")
    assert claims["device"] == CLAIMS["device"]


def test_callable_that_takes_the_sessions_claims_has_the_last_word(
    user: AbstractBaseUser, password: str, settings: Settings
) -> None:
    """Its result alone is used, and it can pass on ``amr`` and ``auth_time`` with the others.

    What it changes doesn't change the session: each refresh gives it the same claims again.
    """
    use(settings, "looking")
    opened = open_session(user, CLAIMS, password=password)
    refreshed = refresh(refresh(opened))
    for issued in (opened, refreshed):
        claims = claims_in(issued)
        assert (claims["tenant"], claims["device"]["ids"]) == ("ACME", [])
        assert claims["amr"] == ["pwd"]
    assert RefreshTokenFamily.objects.get().claims == {**CLAIMS, "amr": ["pwd"]}


def test_callable_leaves_claims_out_but_not_the_authentication(
    user: AbstractBaseUser, password: str, settings: Settings
) -> None:
    """A project can drop what it has no use for. ``amr`` and ``auth_time`` stay in any case."""
    use(settings, "picking")
    claims = claims_in(open_session(user, CLAIMS, password=password))
    assert claims["methods"] == claims["amr"] == ["pwd"]
    assert "tenant" not in claims
    assert "auth_time" in claims


@pytest.mark.parametrize(
    ("name", "text"), [("promoting", r"may not set \['amr'\]"), ("wordless", "must be a dict")]
)
def test_callable_that_takes_the_sessions_claims_is_judged_like_any_other(
    user: AbstractBaseUser, password: str, settings: Settings, name: str, text: str
) -> None:
    """It can't say that the user was authenticated in another way."""
    use(settings, name)
    with pytest.raises(ClaimsInvalid, match=f"^JWT_AUTH_CLAIMS {text}"):
        open_session(user, CLAIMS, password=password)
    assert not RefreshTokenFamily.objects.exists()


def test_callable_without_a_signature_gets_the_user_only(
    user: AbstractBaseUser, settings: Settings
) -> None:
    """Python tells none of some callables that are written in C."""
    settings.JWT_AUTH_CLAIMS = "builtins.vars"
    with pytest.raises(ClaimsInvalid, match=r"^JWT_AUTH_CLAIMS"):
        log_in(user)


# ---- Refused before anything is stored


@pytest.mark.parametrize(
    ("claims", "text"),
    [
        (["tenant"], "must be a dict"),
        ({"sub": "1", "tenant": "acme"}, r"may not set \['sub'\]"),
        ({"exp": 1, "roles": ["admin"]}, r"may not set \['exp', 'roles'\]"),
        ({1: "one"}, "the claim 1 has a name"),
        ({"x": {"y": {2: "two"}}}, "the claim 'x' has a name"),
        ({"x": datetime(2026, 1, 1, tzinfo=UTC)}, r"'x' has a value .*\(datetime\)"),
        ({"x": float("nan")}, "'x' has a number"),
        ({"x": ["a\0b"]}, "'x' has a NUL"),
        ({"x\0": 1}, "has a NUL"),
        ({"x": {"y\0": 1}}, "'x' has a NUL"),
        ({"x": "\ud800"}, "a lone surrogate"),
        ({"x": 2**63}, "an integer of more than 64 bits"),
        ({"x": -(2**63) - 1}, "an integer of more than 64 bits"),
        ({"amr": "pwd"}, '"amr" must be a list'),
        ({"amr": []}, '"amr" must be a list'),
        ({"amr": ["pwd", 1]}, '"amr" must be a list'),
        ({"amr": [""]}, '"amr" must be a list'),
        ({"auth_time": "1"}, '"auth_time" must be'),
        ({"auth_time": 1.5}, '"auth_time" must be'),
        ({"auth_time": True}, '"auth_time" must be'),
        ({"auth_time": -1}, '"auth_time" must be'),
        ({"auth_time": 2**40}, '"auth_time" must be'),
        ({"auth_time": None}, '"auth_time" must be'),
    ],
    ids=repr,
)
def test_claims_that_cannot_be_stored_or_issued_are_refused(
    user: AbstractBaseUser, claims: Any, text: str
) -> None:
    """The text says that the session's claims are at fault, on every database."""
    with pytest.raises(ClaimsInvalid, match=f"^The session's claims.*{text}"):
        open_session(user, claims)
    assert not RefreshTokenFamily.objects.exists()


def test_claims_that_are_too_long_are_refused(user: AbstractBaseUser, settings: Settings) -> None:
    """The text names the user and the size, also where a callable would leave them out."""
    for name in (None, "picking"):
        settings.JWT_AUTH_CLAIMS = name and f"{__name__}.{name}"
        with pytest.raises(ClaimsInvalid, match=rf"have 9\d\d\d bytes for user {user.pk}; 8192"):
            open_session(user, {"amr": ["pwd"], "x": "a" * 9000})
    settings.JWT_AUTH_CLAIMS = None
    with pytest.raises(ClaimsInvalid, match=rf"user {user.pk} make .* the session's claims 7\d"):
        open_session(user, {"x": "a" * 7000})
    assert not RefreshTokenFamily.objects.exists()
