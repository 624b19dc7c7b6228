"""What an attacker can send as an access token, over the way of every real request.

Tests without a database fixture show one thing more: a forged token causes no SQL.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from django.contrib.auth.base_user import AbstractBaseUser
from jwt import PyJWK
from jwt.utils import der_to_raw_signature, raw_to_der_signature
from pytest_django import Settings
from rest_framework.test import APIClient

from jwt_auth import flows, signals
from jwt_auth.encoding import base64url_decode, base64url_encode
from jwt_auth.exceptions import Refusal
from jwt_auth.flows import Issued
from jwt_auth.keys.jwk import public_jwk
from jwt_auth.models import Client, Reason
from jwt_auth.tokens import access, jws
from tests.tokens.forging import MISSING, SESSION, Forge, key_store_of, to_bytes
from tests.tokens.forging import forge as take_key

CLIENT = Client(ip_address="192.0.2.1", user_agent="attack")
ALGORITHMS = ("ES256", "EdDSA", "PS256", "RS256", "HS256")
ES256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.fixture
def refusals() -> Iterator[list[Refusal]]:
    """The reasons that the log is told, in order."""
    reasons: list[Refusal] = []

    def note(*, reason: Refusal, **_: Any) -> None:
        reasons.append(reason)

    signals.token_refused.connect(note)
    yield reasons
    signals.token_refused.disconnect(note)


class Attack:
    """Sends tokens, and says why they were refused."""

    def __init__(self, api: APIClient, refusals: list[Refusal]) -> None:
        self.api = api
        self.refusals = refusals

    def status(self, token: str, **headers: Any) -> int:
        headers = {"HTTP_AUTHORIZATION": f"Bearer {token}"} | headers
        return int(self.api.get("/api/hello/", secure=True, **headers).status_code)

    def refusal(self, token: str) -> Refusal:
        """Send it, see the one answer that every refused token gets, and give the log's reason."""
        before = len(self.refusals)
        header = f"Bearer {token}"
        answer = self.api.get("/api/hello/", HTTP_AUTHORIZATION=header, secure=True)
        assert answer.status_code == 401
        assert answer.json() == {
            "detail": "The access token is invalid, expired or revoked.",
            "code": "invalid_token",
        }
        assert 'Bearer realm="api", error="invalid_token"' in answer["WWW-Authenticate"]
        (reason,) = self.refusals[before:]
        return reason


@pytest.fixture
def attack(api: APIClient, refusals: list[Refusal]) -> Attack:
    """Somebody without a good token."""
    return Attack(api, refusals)


@pytest.fixture
def forge() -> Forge:
    """Whoever holds the signing key: only what they write can be wrong, not the signature."""
    return take_key()


@pytest.fixture
def issued(user: AbstractBaseUser) -> Issued:
    """A session of Alice's."""
    return flows.log_in(user, client=CLIENT, now=datetime.now(UTC))


def _sign(forge: Forge, header: dict[str, Any], secret: bytes | None) -> str:
    """Make a token of that header as an attacker can: HMAC with a secret, or no signature."""
    signing_input = ".".join(base64url_encode(to_bytes(part)) for part in (header, forge.claims()))
    if secret is None:
        return f"{signing_input}."
    return (
        f"{signing_input}.{base64url_encode(hmac.digest(secret, signing_input.encode(), 'sha256'))}"
    )


def _fresh(forge: Forge, **changes: Any) -> dict[str, Any]:
    """Claims whose times are good now."""
    seconds = int(datetime.now(UTC).timestamp())
    return forge.claims(**({"iat": seconds, "nbf": seconds, "exp": seconds + 900} | changes))


# alg


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    "none", ["none", "None", "NONE", "nOnE", "none ", "\0none", "", "n\u043ene"]
)
def test_unsigned_token_is_refused_in_every_spelling(
    algorithm: str, none: str, attack: Attack, settings: Settings
) -> None:
    """No algorithm of any key is called "none" (RFC 8725 §3.2), with or without a signature."""
    settings.JWT_AUTH_KEY_STORE = key_store_of(algorithm)
    forge = take_key()
    header = forge.header(alg=none)
    assert attack.refusal(_sign(forge, header, None)) == Refusal.HEADER_ALG
    assert attack.refusal(_sign(forge, header, b"x" * 32)) == Refusal.HEADER_ALG


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_token_without_its_signature_is_refused(
    algorithm: str, attack: Attack, settings: Settings
) -> None:
    """A right header doesn't make up for an empty signature."""
    settings.JWT_AUTH_KEY_STORE = key_store_of(algorithm)
    forge = take_key()
    assert attack.refusal(_sign(forge, forge.header(), None)) == Refusal.SIGNATURE


def _texts_of_public_key(forge: Forge) -> list[bytes]:
    """What a public key looks like to somebody who hopes that it is taken for a secret."""
    public = public_jwk(forge.jwk)
    key = PyJWK(public).key
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    pem = key.public_bytes(serialization.Encoding.PEM, spki)
    der = key.public_bytes(serialization.Encoding.DER, spki)
    texts = [json.dumps(public).encode(), json.dumps(public, separators=(",", ":")).encode()]
    members = [public[name] for name in ("x", "y", "n", "kid") if name in public]
    raw = [base64url_decode(member) for member in members]
    return [pem, pem.strip(), der, *texts, *map(to_bytes, members), *raw, b""]


@pytest.mark.parametrize("algorithm", ALGORITHMS[:-1])
def test_public_key_is_no_secret(algorithm: str, attack: Attack, settings: Settings) -> None:
    """HS256 keyed with the public key in any form is refused (CVE-2022-29217), by the header."""
    settings.JWT_AUTH_KEY_STORE = key_store_of(algorithm)
    forge = take_key()
    for secret in _texts_of_public_key(forge):
        signed = _sign(forge, forge.header(alg="HS256"), secret)
        assert attack.refusal(signed) == Refusal.HEADER_ALG
        signed = _sign(forge, forge.header(), secret)
        assert attack.refusal(signed) == Refusal.SIGNATURE


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("other", ALGORITHMS)
def test_token_of_another_algorithm_is_refused(
    algorithm: str, other: str, attack: Attack, settings: Settings
) -> None:
    """Signed with another key, under either name, and with our kid: never accepted."""
    if algorithm == other:
        return
    settings.JWT_AUTH_KEY_STORE = key_store_of(other)
    foreign = take_key()
    settings.JWT_AUTH_KEY_STORE = key_store_of(algorithm)
    ours = take_key()
    swapped = foreign.token(header=ours.header(alg=other), claims=_fresh(ours))
    assert attack.refusal(swapped) == Refusal.HEADER_ALG
    disguised = foreign.token(header=ours.header(), claims=_fresh(ours))
    assert attack.refusal(disguised) == Refusal.SIGNATURE


# kid


@pytest.mark.parametrize(
    "kid",
    [
        "../../../../dev/null",
        "/dev/null",
        "file:///etc/passwd",
        "' OR '1'='1",
        "x' UNION SELECT 'secret' --",
        "`id`",
        "$(id)",
        "{{7*7}}",
        "\0",
        "\ud800",
        "\r\nX-Evil: 1",
        "a" * 5000,
        "https://evil.example/jwks.json",
    ],
)
def test_hostile_kid_finds_no_key(kid: str, attack: Attack, forge: Forge) -> None:
    """A kid is compared, never opened, queried or run; whatever it says, it is only unknown."""
    signed = _sign(forge, forge.header(kid=kid), b"")
    assert attack.refusal(signed) == Refusal.UNKNOWN_KEY


@pytest.mark.parametrize("kid", [["a"], {"a": 1}, 0, 1, 1.5, True, None, "", MISSING])
def test_kid_that_is_no_text_finds_no_key(kid: object, attack: Attack, forge: Forge) -> None:
    """No other type is looked up; the only key isn't taken for want of a name."""
    assert attack.refusal(_sign(forge, forge.header(kid=kid), b"")) == Refusal.HEADER_KID


def test_near_miss_of_a_kid_finds_no_key(attack: Attack, forge: Forge) -> None:
    """Case, spaces and prefixes count."""
    kid = forge.key.kid
    for near in (kid.swapcase(), kid[:-1], f"{kid} ", f"{kid}\0", f"/{kid}"):
        signed = forge.token(header=forge.header(kid=near))
        assert attack.refusal(signed) == Refusal.UNKNOWN_KEY


# Headers that bring a key along


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"jku": "https://evil.example/jwks.json"}, Refusal.HEADER_FORBIDDEN),
        ({"x5u": "https://evil.example/cert.pem"}, Refusal.HEADER_FORBIDDEN),
        ({"x5c": ["MIIB"]}, Refusal.HEADER_FORBIDDEN),
        ({"b64": False}, Refusal.HEADER_FORBIDDEN),
        ({"b64": False, "crit": ["b64"]}, Refusal.HEADER_CRIT),
        ({"crit": ["exp"]}, Refusal.HEADER_CRIT),
        ({"crit": []}, Refusal.HEADER_CRIT),
    ],
)
def test_header_that_changes_the_rules_is_refused(
    changes: dict[str, Any], refusal: Refusal, attack: Attack, forge: Forge
) -> None:
    """Even with a good signature of our own key."""
    assert attack.refusal(forge.token(header=forge.header(**changes))) == refusal


def test_token_that_brings_its_own_key_is_refused(attack: Attack, forge: Forge) -> None:
    """A key in the header verifies its own token, and says nothing (CVE-2018-0114)."""
    numbers = generate_private_key(SECP256R1()).public_key().public_numbers()
    own = {
        "kty": "EC",
        "crv": "P-256",
        "x": base64url_encode(numbers.x.to_bytes(32, "big")),
        "y": base64url_encode(numbers.y.to_bytes(32, "big")),
    }
    header = forge.header(jwk=own)
    assert attack.refusal(forge.token(header=header)) == Refusal.HEADER_FORBIDDEN


# Form


@pytest.mark.parametrize("name", ["alg", "kid", "typ"])
def test_name_twice_in_the_header_is_refused(name: str, attack: Attack, forge: Forge) -> None:
    """Whichever of the two counts, in whatever order."""
    good = json.dumps(forge.header())
    for other in (f'{{"{name}": "none", {good[1:]}', f'{good[:-1]}, "{name}": "none"}}'):
        assert attack.refusal(forge.token(header=other)) == Refusal.DUPLICATE_NAME


@pytest.mark.parametrize("name", ["sub", "exp", "roles", "x"])
def test_name_twice_in_the_claims_is_refused(name: str, attack: Attack, forge: Forge) -> None:
    """Also inside a project's own claims, and spelt with an escape."""
    good = json.dumps(_fresh(forge, x=1))[:-1]
    for other in (f'"{name}": 1', f'"\\u{ord(name[0]):04x}{name[1:]}": 1'):
        token = forge.token(claims=f"{good}, {other}}}")
        assert attack.refusal(token) == Refusal.DUPLICATE_NAME


def test_other_spelling_of_a_good_token_is_refused(attack: Attack, issued: Issued) -> None:
    """One token has one text: no padding, no spare bits, no other alphabet, nothing after it."""
    header, payload, signature = issued.access_token.text.split(".")
    assert attack.status(f"{header}.{payload}.{signature}") == 200
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = signature[:-1] + alphabet[alphabet.index(signature[-1]) ^ 1]  # 86 characters: 4 to spare
    for spelling in (
        f"{header}=.{payload}.{signature}",
        f"{header}.{payload}.{signature}==",
        f"{header}.{payload}.{twin}",
        f"{header}.{payload}.{signature}\0",
        f"{header}.{payload}.{signature}\n",
        f"{header}.\t{payload}.{signature}",
    ):
        assert attack.refusal(spelling) == Refusal.ENCODING


@pytest.mark.parametrize(
    "token", ["é.e30.e30", "e30.e30.\ud800", "\uff4530.e30.e30", "e30 .e30.e30"]
)
def test_token_of_other_characters_is_no_credential(token: str, attack: Attack) -> None:
    """What can't be base64url is refused before anything is decoded."""
    assert attack.refusal(token) == Refusal.ENCODING


def test_encrypted_token_is_refused(attack: Attack, forge: Forge) -> None:
    """Five parts are an encrypted token, which we never made."""
    header, payload, signature = forge.token().split(".")
    assert attack.refusal(f"{header}.{payload}.{signature}.AA.AA") == Refusal.MALFORMED
    assert attack.refusal(f"{header}..{payload}.{signature}.") == Refusal.MALFORMED


def test_json_serialized_token_is_refused(attack: Attack, forge: Forge) -> None:
    """The same signature in the JSON serialization of RFC 7515 §7.2 is none to us."""
    protected, payload, signature = forge.token().split(".")
    flattened = {"protected": protected, "payload": payload, "signature": signature}
    token = json.dumps(flattened, separators=(":", ":")).replace(",", ":")
    assert attack.refusal(token) == Refusal.MALFORMED
    plain = json.dumps(flattened, separators=(",", ":"))
    assert attack.refusal(plain) == Refusal.MALFORMED


def test_token_of_8_kib_is_read_and_a_longer_one_is_not(attack: Attack, forge: Forge) -> None:
    """The limit holds over HTTP too, whatever the token looks like."""
    header, payload, _ = forge.token().split(".")
    at_limit = f"{header}.{payload}."
    at_limit += "A" * (jws.MAX_LENGTH - len(at_limit))
    assert attack.refusal(at_limit) in {Refusal.SIGNATURE, Refusal.ENCODING}
    assert attack.refusal(at_limit + "A") == Refusal.TOO_LONG
    assert attack.refusal("A" * 1_000_000) == Refusal.TOO_LONG


@pytest.mark.parametrize(
    "text",
    [
        '{"alg":' + "[" * 5000,
        '{"a":' * 1200,
        "[" * 5000,
        '{"alg": ' + "9" * 5000 + "}",
        '{"alg": NaN}',
        "\ufeff{}",
        "",
        "null",
    ],
)
def test_header_that_is_made_to_choke_on_is_malformed(text: str, attack: Attack) -> None:
    """Depth, endless numbers and what is no JSON object get an answer, not a crash."""
    token = f"{base64url_encode(text.encode())}.e30.AA"
    assert attack.refusal(token) == Refusal.MALFORMED


# Signatures


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_flipped_bit_goes_unseen(algorithm: str, attack: Attack, settings: Settings) -> None:
    """Whichever character of header, payload or signature is another one."""
    settings.JWT_AUTH_KEY_STORE = key_store_of(algorithm)
    forge = take_key()
    token = forge.token(claims=_fresh(forge))
    for position in range(0, len(token), 7):
        if token[position] != ".":
            other = "A" if token[position] != "A" else "B"
            attack.refusal(token[:position] + other + token[position + 1 :])


def test_signature_of_special_numbers_is_refused(attack: Attack, forge: Forge) -> None:
    """Zeros, the order and its neighbours: the psychic signatures of CVE-2022-21449."""
    signing_input = forge.token().rpartition(".")[0]
    numbers = (0, 1, ES256_ORDER - 1, ES256_ORDER, ES256_ORDER + 1, 2**256 - 1)
    for r in numbers:
        for s in numbers:
            signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
            token = f"{signing_input}.{base64url_encode(signature)}"
            assert attack.refusal(token) == Refusal.SIGNATURE


def test_der_signature_is_refused(attack: Attack, forge: Forge) -> None:
    """JWS has one form of an ECDSA signature: r and s, 32 bytes each (RFC 7518 §3.4)."""
    signing_input, _, signature = forge.token().rpartition(".")
    der = raw_to_der_signature(base64url_decode(signature), SECP256R1())
    token = f"{signing_input}.{base64url_encode(der)}"
    assert attack.refusal(token) == Refusal.SIGNATURE


def _malleable_twin(token: str) -> str:
    signing_input, _, signature = token.rpartition(".")
    r, s = decode_dss_signature(raw_to_der_signature(base64url_decode(signature), SECP256R1()))
    twin = der_to_raw_signature(encode_dss_signature(r, ES256_ORDER - s), SECP256R1())
    return f"{signing_input}.{base64url_encode(twin)}"


@pytest.mark.sql
@pytest.mark.user_model
def test_revoked_token_has_no_twin_that_lives(attack: Attack, issued: Issued) -> None:
    """(r, n - s) is as good a signature as (r, s): revocation goes by jti, not by the text."""
    token = issued.access_token.text
    twin = _malleable_twin(token)
    assert twin != token
    assert (attack.status(token), attack.status(twin)) == (200, 200)
    now = datetime.now(UTC)
    read = access.verify(token, now=now)
    flows.deny_token(read.jti, user_id=read.subject, expires_at=read.expires_at, now=now)
    assert attack.refusal(twin) == attack.refusal(token) == Refusal.TOKEN_REVOKED


@pytest.mark.sql
@pytest.mark.user_model
def test_ended_session_has_no_twin_that_lives(attack: Attack, issued: Issued) -> None:
    """The same by sid, also where the twin was never seen before."""
    token = issued.access_token.text
    flows.end_session(issued.family.pk, reason=Reason.LOGOUT, client=CLIENT, now=datetime.now(UTC))
    assert attack.refusal(_malleable_twin(token)) == Refusal.SESSION_ENDED
    assert attack.refusal(token) == Refusal.SESSION_ENDED


# Claims, signed by the right key: another program's tokens, or an older version's


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"exp": 10**30}, Refusal.CLAIM_TYPE),
        ({"exp": 1e400}, Refusal.MALFORMED),
        ({"exp": 99999999999.5}, Refusal.CLAIM_TYPE),
        ({"exp": "99999999999"}, Refusal.CLAIM_TYPE),
        ({"exp": True}, Refusal.CLAIM_TYPE),
        ({"exp": MISSING}, Refusal.CLAIM_MISSING),
        ({"iat": 10**11}, Refusal.NOT_YET_VALID),
        ({"nbf": 10**11}, Refusal.NOT_YET_VALID),
        ({"token_version": False}, Refusal.CLAIM_TYPE),
        ({"token_version": 0.0}, Refusal.CLAIM_TYPE),
        ({"iss": ["https://auth.example.test"]}, Refusal.CLAIM_TYPE),
        ({"iss": "https://auth.example"}, Refusal.ISSUER),
        ({"aud": ["x", "y"]}, Refusal.AUDIENCE),
        ({"roles": "admin"}, Refusal.CLAIM_TYPE),
        ({"roles": {"admin": 1}}, Refusal.CLAIM_TYPE),
        ({"token_use": "refresh"}, Refusal.TOKEN_USE),
        ({"sid": SESSION.upper()}, Refusal.CLAIM_TYPE),
        ({"sub": 1}, Refusal.CLAIM_TYPE),
        ({"sub": "1\0"}, Refusal.CLAIM_TYPE),
    ],
)
def test_well_signed_claims_are_judged(
    changes: dict[str, Any], refusal: Refusal, attack: Attack, forge: Forge
) -> None:
    """A good signature is not enough, and nothing wrong reaches the database."""
    assert attack.refusal(forge.token(claims=_fresh(forge, **changes))) == refusal


def test_infinite_time_is_no_time(attack: Attack, forge: Forge) -> None:
    """JSON's 1e400 is a valid number that Python reads as infinity."""
    claims = json.dumps(_fresh(forge, exp=0)).replace('"exp": 0', '"exp": 1e400')
    assert attack.refusal(forge.token(claims=claims)) == Refusal.CLAIM_TYPE


@pytest.mark.sql
@pytest.mark.user_model
@pytest.mark.parametrize(
    "subject", ["999999999", "-1", "1 OR 1=1", "\ud800", "9" * 400, "a" * 4000, "ä", " "]
)
@pytest.mark.django_db
def test_subject_that_no_user_has_is_refused(subject: str, attack: Attack, forge: Forge) -> None:
    """A subject that no key of the user model has a form for is an unknown user, not a crash."""
    claims = _fresh(forge, sub=subject)
    assert attack.refusal(forge.token(claims=claims)) == Refusal.USER_UNKNOWN


@pytest.mark.sql
@pytest.mark.user_model
@pytest.mark.parametrize("jti", ["a" * 256, "\0", "a\0b", "\n", "\ud800"])
def test_jti_that_could_never_be_denied_is_refused(jti: str, attack: Attack, forge: Forge) -> None:
    """No token may carry what the table of denied tokens can't hold."""
    assert attack.refusal(forge.token(claims=_fresh(forge, jti=jti))) == Refusal.CLAIM_TYPE


@pytest.mark.sql
@pytest.mark.user_model
@pytest.mark.parametrize("jti", ["a" * 255, "' OR 1=1 --", "ä", "{}"])
def test_strange_jti_is_denied_like_any_other(
    jti: str, attack: Attack, forge: Forge, issued: Issued
) -> None:
    """A jti is the issuer's to choose; whatever it is, the token can be revoked."""
    names = {"jti": jti, "sub": str(issued.family.user_id), "sid": str(issued.family.pk)}
    version = access.verify(issued.access_token.text, now=datetime.now(UTC)).token_version
    token = forge.token(claims=_fresh(forge, token_version=version, **names))
    assert attack.status(token) == 200
    now = datetime.now(UTC)
    flows.deny_token(jti, user_id=names["sub"], expires_at=now + timedelta(hours=1), now=now)
    assert attack.refusal(token) == Refusal.TOKEN_REVOKED


def test_token_is_over_at_exp_over_http(attack: Attack, forge: Forge, issued: Issued) -> None:
    """A token of the past second is refused, with the session still alive."""
    past = int((datetime.now(UTC) - timedelta(seconds=1)).timestamp())
    claims = _fresh(forge, exp=past, iat=past - 900, nbf=past - 900, sid=str(issued.family.pk))
    assert attack.refusal(forge.token(claims=claims)) == Refusal.EXPIRED


# Where a token may stand


def test_token_outside_the_header_is_not_read(api: APIClient, issued: Issued) -> None:
    """Query, form, body and cookie end up in logs, histories and other sites' hands."""
    token = issued.access_token.text
    form, as_json = "application/x-www-form-urlencoded", "application/json"
    url = f"/api/hello/?access_token={token}&token={token}"
    requests = [
        api.get(url, secure=True),
        api.generic("GET", "/api/hello/", f"access_token={token}", form, secure=True),
        api.generic(
            "GET", "/api/hello/", json.dumps({"access_token": token}), as_json, secure=True
        ),
        api.get("/api/hello/", secure=True, HTTP_X_ACCESS_TOKEN=token, HTTP_X_AUTHORIZATION=token),
        api.get("/api/hello/", secure=True, HTTP_COOKIE=f"access_token={token}; jwt={token}"),
        api.get("/api/hello/", secure=True, HTTP_PROXY_AUTHORIZATION=f"Bearer {token}"),
    ]
    assert [answer.status_code for answer in requests] == [401] * len(requests)
    assert {answer["WWW-Authenticate"] for answer in requests} == {'Bearer realm="api"'}


@pytest.mark.parametrize(
    "header",
    ["Bearer {0},Bearer {0}", "Bearer {0}, Bearer {0}", "Bearer {0} {0}", "Bearer {0},", "Bearer ",
     "bearer", "Bearer Bearer {0}", "Bearer {0}, Basic YTpi"],
)  # fmt: skip
def test_other_than_one_token_is_refused(header: str, api: APIClient, issued: Issued) -> None:
    """Two Authorization headers reach us as one with a comma: which would count is not guessed."""
    authorization = header.format(issued.access_token.text)
    answer = api.get("/api/hello/", HTTP_AUTHORIZATION=authorization, secure=True)
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer["WWW-Authenticate"]


@pytest.mark.parametrize(
    "header", ["{0}", "Basic {0}", "Token {0}", "JWT {0}", "Bearer\t{0}", "DPoP {0}"]
)
def test_token_of_another_scheme_is_not_read(header: str, api: APIClient, issued: Issued) -> None:
    """Another scheme is somebody else's: no token, no error."""
    authorization = header.format(issued.access_token.text)
    answer = api.get("/api/hello/", HTTP_AUTHORIZATION=authorization, secure=True)
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == 'Bearer realm="api"'


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
def test_name_of_the_scheme_has_no_case(scheme: str, api: APIClient, issued: Issued) -> None:
    """RFC 9110 §11.1."""
    authorization = f"{scheme} {issued.access_token.text}"
    answer = api.get("/api/hello/", HTTP_AUTHORIZATION=authorization, secure=True)
    assert answer.status_code == 200


# Of another's making


def test_token_is_not_repeated_in_answer_or_log(
    attack: Attack, forge: Forge, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever reads the log can't use what a client sent by mistake."""
    token = forge.token(claims=_fresh(forge, iss="https://other.example"))
    with caplog.at_level(0):
        answer = attack.api.get("/api/hello/", HTTP_AUTHORIZATION=f"Bearer {token}", secure=True)
    shown = answer.content.decode() + str(dict(answer.items())) + caplog.text
    for part in token.split("."):
        assert part not in shown
    assert hashlib.sha256(token.encode()).hexdigest() not in shown
