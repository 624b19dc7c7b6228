"""Access tokens as a whole: what is issued is verified, and each refusal comes in its turn."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest
from pytest_django import Settings

from jwt_auth.encoding import base64url_decode, base64url_encode
from jwt_auth.exceptions import ClaimsInvalid, Refusal, UnknownKey
from jwt_auth.keys import cache
from jwt_auth.keys.jwk import VerificationKey, public_jwk
from jwt_auth.tokens import access, jws
from jwt_auth.tokens.access import IssuedAccessToken
from jwt_auth.tokens.claims import RESERVED
from tests.tokens.forging import MISSING, NOW, SESSION, Forge, key_store_of, refusal_of
from tests.tokens.forging import forge as take_key

ALGORITHMS = ("ES256", "EdDSA", "PS256", "RS256", "HS256")


def _issue(**changes: Any) -> IssuedAccessToken:
    good: dict[str, Any] = {
        "subject": "1",
        "session_id": UUID(SESSION),
        "token_version": 0,
        "roles": ["admin"],
        "auth_time": int(NOW.timestamp()) - 60,
        "own_claims": {},
        "expires_at": NOW + timedelta(minutes=15),
        "now": NOW,
    }
    return access.issue(**(good | changes))


def _explode(*args: object, **kwargs: object) -> None:
    raise AssertionError("this must not be reached")


# Issuing


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_issued_token_is_verified(algorithm: str, settings: Settings) -> None:
    """With every algorithm, a token that was issued says afterwards what it was given."""
    settings.JWT_AUTH_KEY_STORE = key_store_of(algorithm)
    token = access.verify(_issue(own_claims={"tenant": "acme"}).text, now=NOW)
    assert (token.subject, str(token.session_id), token.roles) == ("1", SESSION, ("admin",))
    assert token.claims["tenant"] == "acme"
    assert (token.issued_at, token.expires_at) == (NOW, NOW + timedelta(minutes=15))


@pytest.mark.parametrize("algorithm", ALGORITHMS[:-1])
def test_issued_token_is_verified_by_another_library(algorithm: str, settings: Settings) -> None:
    """A holder of the published key can verify a token, and finds the profile's header."""
    settings.JWT_AUTH_KEY_STORE = key_store_of(algorithm)
    (public,) = cache.get_jwk_set(NOW)["keys"]
    decoded = jwt.decode_complete(
        _issue().text,
        jwt.PyJWK(public),
        algorithms=[algorithm],
        audience=settings.JWT_AUTH_AUDIENCE,
        options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )
    assert decoded["header"] == {"alg": algorithm, "kid": public["kid"], "typ": "at+jwt"}
    assert decoded["payload"].keys() == RESERVED - {"amr"}


def test_lifetime_is_given_in_seconds() -> None:
    """``expires_in`` is what a client counts from."""
    assert _issue(expires_at=NOW + timedelta(seconds=61)).expires_in == 61


def test_two_tokens_of_one_moment_differ() -> None:
    """Each token has a different ``jti`` of 128 random bits."""
    one, other = (access.verify(_issue().text, now=NOW).jti for _ in range(2))
    assert one != other
    assert len(bytes.fromhex(one)) == 16


def test_repr_of_an_issued_token_hides_its_text() -> None:
    """A token that gets into a log record is not readable there."""
    assert repr(_issue()) == "<IssuedAccessToken for 900 s>"


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_reserved_claim_of_the_project_is_refused(name: str) -> None:
    """A project can't overwrite what the package decides by, and is told which name it was."""
    with pytest.raises(ClaimsInvalid, match=f"JWT_AUTH_CLAIMS .*{name}"):
        _issue(own_claims={name: "x"})


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_reserved_claim_of_a_session_has_no_effect(name: str) -> None:
    """Such as one of a row that someone has edited."""
    claims = jwt.decode(
        _issue(session_claims={name: "x"}, amr=["pwd"]).text, options={"verify_signature": False}
    )
    assert claims.keys() == RESERVED
    assert claims[name] != "x"


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, float("nan"), [float("inf")], b"bytes", {1: "one", "1": "two"}],
    ids=["object", "set", "nan", "infinity", "bytes", "names"],
)
def test_claim_without_a_json_form_is_refused(value: object) -> None:
    """Such a token could not be read. The error names the source and the claim, and no value."""
    with pytest.raises(ClaimsInvalid, match="JWT_AUTH_CLAIMS: the claim 'x' has") as refused:
        _issue(own_claims={"x": value})
    assert repr(value) not in str(refused.value)


def test_claim_that_is_nested_too_deeply_is_refused() -> None:
    """A value that contains itself has no end. Python could not read a very deep one either."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ClaimsInvalid, match="'x' has a value of more than 32 levels"):
        _issue(own_claims={"x": endless})


def test_claim_whose_name_is_not_a_string_is_refused() -> None:
    """JSON would make it one, and a token with the same name twice is refused."""
    with pytest.raises(ClaimsInvalid, match="JWT_AUTH_CLAIMS: the claim 1 has a name"):
        _issue(own_claims={1: "one", "1": "two"})


def test_claim_of_the_project_replaces_one_of_the_session() -> None:
    """The project's was made for this token, the session's at the login."""
    text = _issue(session_claims={"x": 1, "y": 1}, own_claims={"x": 2}, amr=["pwd"]).text
    claims = access.verify(text, now=NOW).claims
    assert (claims["x"], claims["y"], claims["amr"]) == (2, 1, ["pwd"])
    assert claims["auth_time"] == claims["iat"] - 60


def test_claims_that_make_a_token_too_long_are_refused() -> None:
    """No token is issued that we ourselves would refuse; 8 KiB to the letter is issued."""
    room = (jws.MAX_LENGTH - len(_issue(own_claims={"x": ""}).text)) * 3 // 4
    longest = _issue(own_claims={"x": "a" * room}).text
    assert jws.MAX_LENGTH - 4 < len(longest) <= jws.MAX_LENGTH
    assert refusal_of(longest) is None
    with pytest.raises(
        ClaimsInvalid, match=r"user 1 make .* of 8\d\d\d bytes; 8192 .* JWT_AUTH_ROLES"
    ):
        _issue(own_claims={"x": "a" * (room + 4)})


def test_error_about_a_long_token_says_whose_claims_are_long() -> None:
    """The sizes are those of the JSON texts, so that they can be compared."""
    sizes = r"roles have 9 bytes, the session's claims 9010, and those of JWT_AUTH_CLAIMS 7\."
    with pytest.raises(ClaimsInvalid, match=sizes):
        _issue(roles=["admin"], session_claims={"xx": "a" * 9001}, own_claims={"y": 1})


# The order of the refusals

#: Faults of a header, in the order in which they are refused.
HEADER_FAULTS: list[tuple[Refusal, dict[str, Any]]] = [
    (Refusal.HEADER_CRIT, {"crit": ["exp"]}),
    (Refusal.HEADER_FORBIDDEN, {"jku": "https://evil.example/jwks.json"}),
    (Refusal.HEADER_TYP, {"typ": "JWT"}),
    (Refusal.HEADER_KID, {"kid": MISSING}),
    (Refusal.HEADER_ALG, {"alg": ["ES256"]}),
    (Refusal.UNKNOWN_KEY, {"kid": "nobody's"}),
    (Refusal.HEADER_ALG, {"alg": "none"}),
]

#: The same for claims.
CLAIM_FAULTS: list[tuple[Refusal, dict[str, Any]]] = [
    (Refusal.CLAIM_MISSING, {"jti": MISSING}),
    (Refusal.CLAIM_TYPE, {"token_version": "1"}),
    (Refusal.ISSUER, {"iss": "https://evil.example"}),
    (Refusal.AUDIENCE, {"aud": "evil"}),
    (Refusal.TOKEN_USE, {"token_use": "refresh"}),
    (Refusal.EXPIRED, {"exp": 0}),
    (Refusal.NOT_YET_VALID, {"nbf": 10**12}),
]


def _all_from(faults: list[tuple[Refusal, dict[str, Any]]], first: int) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for _, change in reversed(faults[first:]):
        changes |= change
    return changes


@pytest.mark.parametrize("first", range(len(HEADER_FAULTS)))
def test_header_is_refused_for_its_first_fault_before_any_cryptography(
    first: int, forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No key computes anything before the header has been found good, in its fixed order."""
    monkeypatch.setattr(VerificationKey, "verify", _explode)
    header = forge.header(**_all_from(HEADER_FAULTS, first))
    assert refusal_of(forge.token(header=header)) == HEADER_FAULTS[first][0]


@pytest.mark.parametrize("first", range(len(CLAIM_FAULTS)))
def test_claims_are_refused_for_their_first_fault(first: int, forge: Forge) -> None:
    """One reason for each token, in a fixed order."""
    claims = forge.claims(**_all_from(CLAIM_FAULTS, first))
    assert refusal_of(forge.token(claims=claims)) == CLAIM_FAULTS[first][0]


@pytest.mark.parametrize("payload", ["{}", "not JSON", '{"a": 1, "a": 2}'])
def test_claims_are_not_read_before_the_signature_is_good(payload: str, forge: Forge) -> None:
    """A stranger's payload is not even parsed."""
    token = forge.token(claims=payload)
    signature = token.rpartition(".")[2]
    other = signature[:-8] + ("AAAAAAAA" if signature[-8:] != "AAAAAAAA" else "AAAABBBA")
    assert refusal_of(token[: -len(signature)] + other) == Refusal.SIGNATURE


def test_too_long_token_is_refused_before_it_is_touched(
    forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is hashed, decoded or parsed."""
    for name in ("jws.parse", "sha256", "cache.find_loaded_ring"):
        monkeypatch.setattr(f"jwt_auth.tokens.access.{name}", _explode)
    assert refusal_of("." * (jws.MAX_LENGTH + 1)) == Refusal.TOO_LONG


@pytest.mark.parametrize("name", ["b64", "jku", "jwk", "x5u", "x5c"])
@pytest.mark.parametrize("value", [None, False, True, "", {}])
def test_header_that_brings_a_key_is_refused_whatever_it_says(
    name: str, value: object, forge: Forge
) -> None:
    """The name is enough, in a token that is otherwise good: no value is harmless."""
    header = forge.header(**{name: value})
    assert refusal_of(forge.token(header=header)) == Refusal.HEADER_FORBIDDEN


@pytest.mark.parametrize("value", [[], ["exp"], ["b64"], "exp", None])
def test_critical_extension_is_refused_whatever_it_says(value: object, forge: Forge) -> None:
    """We know no extensions, so we must refuse all of them (RFC 7515 §4.1.11)."""
    assert refusal_of(forge.token(header=forge.header(crit=value))) == Refusal.HEADER_CRIT


@pytest.mark.parametrize("typ", [MISSING, None, "", "JWT", "AT+JWT", "at+jwt ", ["at+jwt"]])
def test_token_of_another_type_is_refused(typ: object, forge: Forge) -> None:
    """An ID token or a logout token of the same issuer isn't an access token (RFC 9068 §4)."""
    assert refusal_of(forge.token(header=forge.header(typ=typ))) == Refusal.HEADER_TYP


@pytest.mark.parametrize("alg", [MISSING, None, "", 0, True, [], ["ES256"], {"ES256": 1}])
def test_alg_that_is_no_text_is_refused(alg: object, forge: Forge) -> None:
    """Missing, empty or a list: no algorithm is not any algorithm."""
    assert refusal_of(forge.token(header=forge.header(alg=alg))) == Refusal.HEADER_ALG


def test_unknown_header_parameter_is_passed_over(forge: Forge) -> None:
    """A parameter that decides nothing is ignored (RFC 7515 §4)."""
    assert refusal_of(forge.token(header=forge.header(cty="x", x="y"))) is None


@pytest.mark.parametrize(
    ("algorithm", "name", "refusal"),
    [
        ("ES256", "ES384", Refusal.HEADER_ALG),
        ("ES256", "es256", Refusal.HEADER_ALG),
        ("ES256", "Ed25519", Refusal.HEADER_ALG),
        ("EdDSA", "EdDSA", None),
        ("EdDSA", "Ed25519", None),
        ("EdDSA", "Ed448", Refusal.HEADER_ALG),
        ("PS256", "RS256", Refusal.HEADER_ALG),
        ("RS256", "PS256", Refusal.HEADER_ALG),
        ("HS256", "HS512", Refusal.HEADER_ALG),
    ],
)
def test_key_has_exactly_one_algorithm(
    algorithm: str, name: str, refusal: Refusal | None, settings: Settings
) -> None:
    """An RSA key serves one scheme only. Ed25519 has two names (RFC 9864)."""
    settings.JWT_AUTH_KEY_STORE = key_store_of(algorithm)
    forge = take_key()
    assert refusal_of(forge.token(header=forge.header(alg=name))) == refusal


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda signature: b"", id="empty"),
        pytest.param(lambda signature: signature[:-1], id="truncated"),
        pytest.param(lambda signature: signature + b"\0", id="longer"),
        pytest.param(lambda signature: bytes(len(signature)), id="zeros"),
        pytest.param(lambda signature: bytes([signature[0] ^ 1]) + signature[1:], id="first bit"),
        pytest.param(lambda signature: signature[:-1] + bytes([signature[-1] ^ 1]), id="last bit"),
        pytest.param(lambda signature: secrets.token_bytes(len(signature)), id="random"),
    ],
)
def test_spoilt_signature_is_refused(
    algorithm: str, spoil: Callable[[bytes], bytes], settings: Settings
) -> None:
    """Every algorithm refuses every other signature, and none crashes over one."""
    settings.JWT_AUTH_KEY_STORE = key_store_of(algorithm)
    forge = take_key()
    signing_input, _, signature = forge.token().rpartition(".")
    spoilt = base64url_encode(spoil(base64url_decode(signature)))
    assert refusal_of(f"{signing_input}.{spoilt}") == Refusal.SIGNATURE


def test_public_key_verifies_what_its_private_half_signed(forge: Forge) -> None:
    """The forger's key is the ring's. Otherwise the refusals above would prove nothing."""
    assert refusal_of(forge.token()) is None
    assert "d" not in public_jwk(forge.jwk)
    with pytest.raises(UnknownKey):
        cache.get_verification_key("nobody's", NOW)
