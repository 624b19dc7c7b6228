"""The words that tests of the deny feed are written in."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import jwt

from jwt_auth.exceptions import Refusal
from jwt_auth.flows import Issued
from jwt_auth.revocation.denials import Denials, parse, serialize
from jwt_auth.revocation.published import find_denials
from jwt_auth.tokens.claims import AccessToken, read_claims
from jwt_auth.tokens.jws import parse as parse_token


def published(now: datetime | None = None) -> Denials:
    """What a service learns now: what is in force, written and read as JSON."""
    return parse(json.dumps(serialize(find_denials(now or datetime.now(UTC)))).encode())


def token_of(issued: Issued) -> AccessToken:
    """The claims of an access token, whether or not it is refused."""
    text = issued.access_token.text
    kid = jwt.get_unverified_header(text)["kid"]
    return read_claims(parse_token(text).payload, kid=kid)


def refusal_at_service(issued: Issued, now: datetime | None = None) -> Refusal | None:
    """Why a service that has just read the feed refuses the access token."""
    now = now or datetime.now(UTC)
    return published(now).find_refusal(token_of(issued), now=now.timestamp())
