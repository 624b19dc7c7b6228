"""A Flask service that accepts access tokens of jwt_auth, verified with joserfc."""

from access_tokens import InvalidToken, KeysUnavailable, verify
from flask import Flask, Response, g, request

app = Flask(__name__)


@app.before_request
def authenticate() -> Response | None:
    """Answer every request without a good token."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return Response(status=401, headers={"WWW-Authenticate": "Bearer"})
    try:
        g.claims = verify(token)
    except InvalidToken:
        return Response(status=401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
    except KeysUnavailable:
        return Response(status=503, headers={"Retry-After": "5"})
    return None


@app.get("/")
def hello() -> dict:
    """Say who asks."""
    return {"user": g.claims["sub"], "roles": g.claims["roles"]}
