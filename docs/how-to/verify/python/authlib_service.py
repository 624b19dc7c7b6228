"""A Flask service that accepts access tokens of jwt_auth, protected with Authlib."""

from access_tokens import InvalidToken, KeysUnavailable, verify
from authlib.integrations.flask_oauth2 import ResourceProtector, current_token
from authlib.oauth2.rfc6750 import BearerTokenValidator, InvalidTokenError
from flask import Flask
from werkzeug.exceptions import ServiceUnavailable


class AccessTokenValidator(BearerTokenValidator):
    """Has joserfc verify the token."""

    def authenticate_token(self, token_string: str) -> dict:
        """Return the claims."""
        try:
            return verify(token_string)
        except InvalidToken as error:
            raise InvalidTokenError from error
        except KeysUnavailable as error:
            raise ServiceUnavailable(retry_after=5) from error

    def validate_token(self, token: dict, scopes: object, request: object) -> None:
        """Leave out the scopes, which our tokens don't have."""


require_token = ResourceProtector()
require_token.register_token_validator(AccessTokenValidator())
app = Flask(__name__)


@app.get("/")
@require_token()
def hello() -> dict:
    """Say who asks."""
    return {"user": current_token["sub"], "roles": current_token["roles"]}
