"""A Flask service that accepts access tokens of jwt_auth, verified with PyJWT."""

import os

import jwt
from flask import Flask, Response, g, request

ISSUER, AUDIENCE = os.environ["ISSUER"], os.environ["AUDIENCE"]
ALGORITHMS = ["ES256", "EdDSA", "PS256", "RS256"]
TEXTS = ["sub", "sid", "jti"]
REQUIRED = ["iss", "aud", "exp", "nbf", "iat", "token_use", *TEXTS]

# Kept for 5 minutes, the issuer's max-age. An unknown kid has it fetched anew, once in 30 seconds.
keys = jwt.PyJWKClient(os.environ["JWKS_URL"], lifespan=300, cooldown_duration=30, timeout=5)
app = Flask(__name__)


class KeysUnavailable(Exception):
    """The key set can't be fetched."""


def find_key(kid: str) -> jwt.PyJWK:
    """Return the key, or raise KeysUnavailable or, for an unknown kid, a jwt.PyJWTError."""
    try:
        return keys.get_signing_key(kid)
    except (jwt.PyJWKClientConnectionError, jwt.PyJWKSetError, OSError, ValueError) as error:
        raise KeysUnavailable from error


def verify(token: str) -> dict:
    """Return the claims, or raise KeysUnavailable or, for a bad token, a jwt.PyJWTError."""
    if len(token) > 8192:
        raise jwt.InvalidTokenError("The token is too long.")
    header = jwt.get_unverified_header(token)
    if header.get("typ") != "at+jwt" or header.get("alg") not in ALGORITHMS or "kid" not in header:
        raise jwt.InvalidTokenError("This is not an access token.")
    key = find_key(header["kid"])
    claims = jwt.decode(
        token,
        key,
        algorithms=[key.algorithm_name],
        issuer=ISSUER,
        audience=AUDIENCE,
        options={"require": REQUIRED},
    )
    if claims["token_use"] != "access" or not all(isinstance(claims[name], str) for name in TEXTS):
        raise jwt.InvalidTokenError("This is not an access token.")
    return claims


@app.before_request
def authenticate() -> Response | None:
    """Answer every request without a good token."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return Response(status=401, headers={"WWW-Authenticate": "Bearer"})
    try:
        g.claims = verify(token)
    except jwt.PyJWTError:
        return Response(status=401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
    except KeysUnavailable:
        return Response(status=503, headers={"Retry-After": "5"})
    return None


@app.get("/")
def hello() -> dict:
    """Say who asks."""
    return {"user": g.claims["sub"], "roles": g.claims["roles"]}
