"""The form of the deny feed, and which tokens it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from jwt_auth.exceptions import Refusal
from jwt_auth.revocation.denials import Denials, parse, serialize
from jwt_auth.tokens.claims import AccessToken

SESSION = UUID("0189a3b0-0000-4000-8000-000000000001")
ISSUED = 1_900_000_000

TOKEN = AccessToken(
    kid="k",
    issuer="https://auth.example.com",
    audiences=frozenset(["api"]),
    subject="7",
    session_id=SESSION,
    jti="j",
    token_version=2,
    token_use="access",
    roles=(),
    issued=ISSUED,
    not_before=ISSUED,
    expires=ISSUED + 3600,
    payload=b"{}",
)

NOTHING = Denials(
    as_of=ISSUED, lifetime=900, users={}, sessions=frozenset(), tokens=frozenset(), everyone=None
)


def _refusal(now: float = ISSUED, **changes: Any) -> Refusal | None:
    return replace(NOTHING, **changes).find_refusal(TOKEN, now=now)


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({}, None),
        ({"sessions": frozenset([str(SESSION)])}, Refusal.SESSION_ENDED),
        ({"sessions": frozenset([str(UUID(int=1))])}, None),
        ({"tokens": frozenset(["j"])}, Refusal.TOKEN_REVOKED),
        ({"tokens": frozenset(["J"])}, None),
        ({"users": {"7": 3}}, Refusal.TOKEN_VERSION),
        ({"users": {"7": 2, "8": 3}}, None),
        ({"users": {"7": None}}, Refusal.USER_UNKNOWN),
        ({"everyone": ISSUED - 1}, None),
        ({"everyone": ISSUED}, Refusal.SESSION_ENDED),
    ],
    ids=str,
)
def test_token_is_refused_by_what_is_denied(
    changes: dict[str, Any], refusal: Refusal | None
) -> None:
    """By its session, itself, its user's version, or its time: in doubt it is refused."""
    assert _refusal(**changes) is refusal


@pytest.mark.parametrize(("age", "refusal"), [(900, None), (900.5, Refusal.EXPIRED)])
def test_token_lives_no_longer_than_denials_are_told(age: float, refusal: Refusal | None) -> None:
    """The issuer has lowered the lifetime: it no longer tells what was denied long ago."""
    assert _refusal(now=ISSUED + age) is refusal


def test_answer_is_read_as_it_was_written() -> None:
    """With every kind of denial in it."""
    denials = replace(
        NOTHING,
        everyone=ISSUED,
        users={"7": 3, "8": None},
        sessions=frozenset([str(SESSION)]),
        tokens=frozenset(["j", "k"]),
    )
    assert parse(json.dumps(serialize(denials)).encode()) == denials


GOOD = serialize(NOTHING)

CHANGES: list[dict[str, Any]] = [
    {"as_of": "1"},
    {"lifetime": True},
    {"everyone": 1.5},
    {"users": [["7", 3]]},
    {"users": {"7": "3"}},
    {"sessions": {}},
    {"sessions": ["7"]},
    {"sessions": [str(SESSION).upper()]},
    {"tokens": [7]},
    {"tokens": "j"},
    {"devices": ["another kind of denial"]},
]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"<html>",
        b"\xff",
        b"[" * 100_000,
        json.dumps(GOOD).encode()[:-1],
        *(json.dumps({**GOOD, **changes}).encode() for changes in CHANGES),
        *(json.dumps({k: v for k, v in GOOD.items() if k != name}).encode() for name in GOOD),
    ],
    ids=lambda body: body[:40].decode(errors="replace"),
)
def test_answer_of_another_form_is_refused_whole(body: bytes) -> None:
    """A denial that is overlooked would let a revoked token in."""
    with pytest.raises(ValueError, match="its answer is not"):
        parse(body)
