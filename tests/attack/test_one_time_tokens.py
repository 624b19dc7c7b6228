"""What an attacker can send as a one-time token, and where else they can try a good one.

The form and the header are read by the code that reads access tokens
(tests/attack/test_access_tokens.py). A sample of those attacks is here, too.
"""

from __future__ import annotations

import hmac
import itertools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.test import override_settings
from pytest_django import Settings

from jwt_auth import flows, signals
from jwt_auth.conf import conf
from jwt_auth.encoding import base64url_decode, base64url_encode
from jwt_auth.exceptions import AccessTokenRefused, Refusal
from jwt_auth.keys.jwk import public_jwk
from jwt_auth.tokens import access, jws, one_time
from tests.flows.scene import log_in
from tests.http.site import Site, everything
from tests.tokens.forging import MISSING, Forge, key_store_of, to_bytes
from tests.tokens.forging import forge as take_key

NO_TEXTS: list[object] = ["", None, 1, ["a"], {}]

NO_NUMBERS: list[object] = [True, "1", -1, 1.5, None, []]

REFUSED = {"detail": "The token is invalid, expired or already used.", "code": "invalid_token"}


@pytest.fixture
def refusals() -> Iterator[list[Refusal]]:
    """The reasons that the log is told, in order."""
    reasons: list[Refusal] = []

    def note(*, reason: Refusal, **_: Any) -> None:
        reasons.append(reason)

    signals.one_time_token_refused.connect(note)
    yield reasons
    signals.one_time_token_refused.disconnect(note)


Attack = Callable[[str], Refusal]


@pytest.fixture(params=["email/confirm/", "password/reset/confirm/"])
def attack(request: pytest.FixtureRequest, db: None, refusals: list[Refusal]) -> Attack:
    """Post a token to each endpoint that takes one; give the reason that only the log knows."""

    def post(token: str) -> Refusal:
        before, known = len(refusals), everything()
        answer = Site().post(request.param, {"token": token, "new_password": "another horse"})
        assert (answer.status_code, answer.json()) == (400, REFUSED)
        assert everything() == known
        (reason,) = refusals[before:]
        return reason

    return post


@pytest.fixture
def forge() -> Forge:
    """Whoever holds the signing key: only what they write can be wrong, not the signature."""
    return take_key()


def _header(forge: Forge, **changes: Any) -> dict[str, Any]:
    return forge.header(**({"typ": "one-time+jwt"} | changes))


def _claims(**changes: Any) -> dict[str, Any]:
    """Good claims of a token issued now, with some changed, added or missing."""
    seconds = int(datetime.now(UTC).timestamp())
    good = {
        "iss": conf.issuer,
        "aud": f"{conf.issuer}#one-time",
        "sub": "1",
        "iat": seconds,
        "exp": seconds + 3600,
        "jti": "0123456789abcdef" * 2,
        "token_version": 0,
        "token_use": "one_time",
        "purpose": flows.PASSWORD_RESET,
        "binding": "00" * 32,
    }
    return {name: value for name, value in (good | changes).items() if value is not MISSING}


def _token(forge: Forge, *, header: object = None, claims: object = None) -> str:
    return forge.token(
        header=_header(forge) if header is None else header,
        claims=_claims() if claims is None else claims,
    )


def _issue(user: AbstractBaseUser, purpose: str = flows.PASSWORD_RESET) -> str:
    return flows.issue_one_time_token(
        user, purpose=purpose, lifetime=timedelta(hours=1), now=datetime.now(UTC)
    )


# Where a token doesn't belong


def test_one_time_token_is_no_access_token(user: AbstractBaseUser) -> None:
    """Not in the header, not in the access cookie's place, at no endpoint."""
    for purpose in (flows.PASSWORD_RESET, flows.EMAIL_CONFIRMATION, "access", "at+jwt"):
        token = _issue(user, purpose)
        bearer = {"Authorization": f"Bearer {token}"}
        for path in ("me/", "verify/", "sessions/", "/api/hello/"):
            answer = Site().get(path, headers=bearer)
            assert answer.status_code == 401
            assert 'error="invalid_token"' in answer["WWW-Authenticate"]
        with pytest.raises(AccessTokenRefused) as refused:
            access.verify(token, now=datetime.now(UTC))
        assert refused.value.reason == Refusal.HEADER_TYP


def test_access_token_is_no_one_time_token(user: AbstractBaseUser, attack: Attack) -> None:
    """A session's token neither confirms an address nor sets a password."""
    assert attack(log_in(user).access_token.text) == Refusal.HEADER_TYP


def test_refresh_token_is_no_one_time_token(user: AbstractBaseUser, attack: Attack) -> None:
    """It has no dots."""
    assert attack(log_in(user).refresh_token.text) == Refusal.MALFORMED


@pytest.mark.parametrize("typ", ["at+jwt", "JWT", "one-time+JWT", "one_time+jwt", "", None, 1])
def test_other_type_is_refused(typ: object, attack: Attack, forge: Forge) -> None:
    """All else is as in a good token."""
    assert attack(_token(forge, header=_header(forge, typ=typ))) == Refusal.HEADER_TYP


def test_claims_of_a_one_time_token_make_no_access_token(forge: Forge) -> None:
    """Even a signer who wrote the wrong type would not make one out of the other."""
    with pytest.raises(AccessTokenRefused) as refused:
        access.verify(_token(forge, header=forge.header()), now=datetime.now(UTC))
    assert refused.value.reason == Refusal.CLAIM_MISSING
    both = forge.claims(**_claims(), nbf=0, sid=forge.claims()["sid"])
    with pytest.raises(AccessTokenRefused) as refused:
        access.verify(forge.token(claims=both), now=datetime.now(UTC))
    assert refused.value.reason == Refusal.AUDIENCE


def test_claims_of_an_access_token_make_no_one_time_token(attack: Attack, forge: Forge) -> None:
    """The claims differ in more than the header."""
    claims = forge.claims() | {
        name: _claims()[name] for name in ("iat", "exp", "purpose", "binding", "jti")
    }
    assert attack(_token(forge, claims=claims)) == Refusal.AUDIENCE
    claims["aud"] = _claims()["aud"]
    assert attack(_token(forge, claims=claims)) == Refusal.TOKEN_USE


def test_audience_that_is_named_like_the_issuer_takes_no_one_time_token(
    user: AbstractBaseUser, settings: Settings
) -> None:
    """A service that checks no type, and no more than its audience, refuses the token."""
    settings.JWT_AUTH_AUDIENCE = settings.JWT_AUTH_ISSUER
    payload = json.loads(base64url_decode(_issue(user).split(".")[1]))
    assert payload["aud"] not in conf.audiences


# Signature, key, algorithm, form


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS256", "", None])
def test_other_algorithm_is_refused(algorithm: object, attack: Attack, forge: Forge) -> None:
    """A key has one algorithm, and HS256 with the public key as its secret isn't that of ours."""
    header = _header(forge, alg=algorithm)
    signing_input = ".".join(base64url_encode(to_bytes(part)) for part in (header, _claims()))
    secret = json.dumps(public_jwk(forge.jwk)).encode()
    for signature in (b"", hmac.digest(secret, signing_input.encode(), "sha256")):
        token = f"{signing_input}.{base64url_encode(signature)}"
        assert attack(token) == Refusal.HEADER_ALG


def test_key_of_nobody_is_refused(attack: Attack, forge: Forge) -> None:
    """Under its own kid it isn't found, under ours its signature is wrong."""
    with override_settings(JWT_AUTH_KEY_STORE=key_store_of("ES256")):
        foreign = take_key()
    assert attack(_token(foreign)) == Refusal.UNKNOWN_KEY
    assert attack(_token(foreign, header=_header(forge))) == Refusal.SIGNATURE
    assert attack(_token(forge, header=_header(forge, kid=MISSING))) == Refusal.HEADER_KID
    assert attack(_token(forge, header=_header(forge, jwk={}))) == Refusal.HEADER_FORBIDDEN
    assert attack(_token(forge, header=_header(forge, crit=[]))) == Refusal.HEADER_CRIT


def test_every_changed_character_is_noticed(user: AbstractBaseUser, attack: Attack) -> None:
    """In the header, the claims and the signature."""
    token = _issue(user, flows.PASSWORD_RESET)
    for place in range(0, len(token), 37):
        if token[place] == ".":
            continue
        other = "A" if token[place] != "A" else "B"
        attack(token[:place] + other + token[place + 1 :])


@pytest.mark.parametrize(
    ("token", "refusal"),
    [
        ("x", Refusal.MALFORMED),
        ("a.b", Refusal.MALFORMED),
        ("a.b.c.d.e", Refusal.MALFORMED),
        ("..", Refusal.MALFORMED),
        ("e30=.e30.e30", Refusal.ENCODING),
        ("é.e30.e30", Refusal.ENCODING),
        ("e30.e30.e30", Refusal.HEADER_TYP),
        ("a" * (jws.MAX_LENGTH + 1), Refusal.TOO_LONG),
    ],
)
def test_text_that_is_no_token_is_refused(token: str, refusal: Refusal, attack: Attack) -> None:
    """400, never 500, and the answer is that of every refused token."""
    assert attack(token) == refusal


@pytest.mark.parametrize("name", ["sub", "purpose", "x"])
def test_name_twice_is_refused(name: str, attack: Attack, forge: Forge) -> None:
    """Whichever of the two counts."""
    header, claims = json.dumps(_header(forge))[:-1], json.dumps(_claims(x=1))[:-1]
    token = _token(forge, claims=f'{claims}, "{name}": "1"}}')
    assert attack(token) == Refusal.DUPLICATE_NAME
    token = _token(forge, header=f'{header}, "typ": "one-time+jwt"}}')
    assert attack(token) == Refusal.DUPLICATE_NAME


# Claims


@pytest.mark.parametrize("name", _claims())
def test_missing_claim_is_refused(name: str, attack: Attack, forge: Forge) -> None:
    """Every claim is required."""
    assert attack(_token(forge, claims=_claims(**{name: MISSING}))) == Refusal.CLAIM_MISSING


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *itertools.product(one_time._TEXTS, NO_TEXTS),
        *itertools.product(one_time._NUMBERS, NO_NUMBERS),
        ("jti", "0123456789ABCDEF" * 2),
        ("jti", "0" * 31),
        ("jti", "0" * 33),
        ("jti", "0" * 32 + "\n"),
        ("exp", 10**400),
        ("iat", 0),
    ],
)
def test_claim_of_another_kind_is_refused(
    name: str, value: object, attack: Attack, forge: Forge
) -> None:
    """What we never issue; a lifetime over 24 hours as well."""
    assert attack(_token(forge, claims=_claims(**{name: value}))) == Refusal.CLAIM_TYPE


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"iss": "https://evil.example"}, Refusal.ISSUER),
        ({"aud": "https://evil.example"}, Refusal.AUDIENCE),
        ({"token_use": "access"}, Refusal.TOKEN_USE),
        ({"purpose": "invitation"}, Refusal.PURPOSE),
    ],
)
def test_other_value_is_refused(
    changes: dict[str, Any], refusal: Refusal, attack: Attack, forge: Forge
) -> None:
    """Each is compared as a whole."""
    assert attack(_token(forge, claims=_claims(**changes))) == refusal


def test_times_are_compared_strictly(attack: Attack, forge: Forge) -> None:
    """At ``exp`` a token has expired, and before ``iat`` it isn't valid yet."""
    seconds = int(datetime.now(UTC).timestamp())
    expired = _claims(iat=seconds - 60, exp=seconds)
    assert attack(_token(forge, claims=expired)) == Refusal.EXPIRED
    early = _claims(iat=seconds + 60, exp=seconds + 120)
    assert attack(_token(forge, claims=early)) == Refusal.NOT_YET_VALID


@pytest.mark.parametrize("attack", ["password/reset/confirm/"], indirect=True)
@pytest.mark.parametrize("subject", ["0", "nobody", "a\0b", "9" * 400, "é", "{}", " 1", "01"])
@pytest.mark.sql
@pytest.mark.user_model
def test_subject_that_is_nobody_is_refused(
    subject: str, user: AbstractBaseUser, attack: Attack, forge: Forge
) -> None:
    """Whatever kind of key the user model has, and in another spelling of a key that exists."""
    if subject in {" 1", "01"}:
        subject = subject.replace("1", str(user.pk))
    assert attack(_token(forge, claims=_claims(sub=subject))) == Refusal.USER_UNKNOWN


@pytest.mark.parametrize("attack", ["password/reset/confirm/"], indirect=True)
def test_binding_can_not_be_guessed(user: AbstractBaseUser, attack: Attack, forge: Forge) -> None:
    """The holder of the signing key alone, without SECRET_KEY, can't take over an account."""
    assert attack(_token(forge, claims=_claims(sub=str(user.pk)))) == Refusal.BINDING


def test_purposes_are_not_exchangeable(user: AbstractBaseUser, refusals: list[Refusal]) -> None:
    """A link that confirms an address sets no password, and the other way round."""
    confirm, reset = _issue(user, flows.EMAIL_CONFIRMATION), _issue(user, flows.PASSWORD_RESET)
    body = {"token": confirm, "new_password": "another horse"}
    assert Site().post("password/reset/confirm/", body).json() == REFUSED
    assert Site().post("email/confirm/", {"token": reset}).json() == REFUSED
    assert refusals == [Refusal.PURPOSE] * 2


def test_token_in_the_address_is_not_read(user: AbstractBaseUser) -> None:
    """Addresses are logged, and sent on to other sites."""
    token = _issue(user, flows.EMAIL_CONFIRMATION)
    for headers in ({}, {"Authorization": f"Bearer {token}"}, {"Cookie": f"token={token}"}):
        answer = Site().post(f"email/confirm/?token={token}", {}, headers=headers)
        assert answer.status_code == 400
        assert answer.json()["errors"].keys() == {"token"}
    assert Site().get(f"email/confirm/?token={token}").status_code == 405
    assert not flows.is_email_confirmed(user)
