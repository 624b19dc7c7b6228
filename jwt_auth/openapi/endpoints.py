"""The table of all endpoints: what each takes, and what it answers.

The key is the endpoint's path below its mount, and its method. What all endpoints of a kind have in
common (a bearer endpoint's 401, a body's 413) is derived in ``responses``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from jwt_auth.conf import conf
from jwt_auth.openapi import bodies
from jwt_auth.openapi.bodies import Body
from jwt_auth.openapi.schemas import TEXT, Schema

#: ``header``: a bearer token, never from the cookie. ``any``: the refresh token, the access token,
#: both or neither.
Credential = Literal["none", "bearer", "header", "service", "refresh", "any"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    #: The operation's id, without its prefix.
    operation: str
    summary: str
    description: str = ""
    credential: Credential = "none"
    #: The request's body, if there is one whatever the transport is.
    takes: Body | None = None
    #: Whether a body that can't be read is no reason to refuse the request.
    ignores_broken_body: bool = False
    #: Each successful status, with the body that it has.
    answers: Mapping[int, Body | None]
    #: Whether the refresh token in the request or in the answer is for the transport to carry.
    gives_refresh_token: bool = False
    takes_retry_key: bool = False
    #: The codes that only this endpoint answers, by status.
    refusals: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    headers: Mapping[str, tuple[str, Schema]] = field(default_factory=dict)
    parameters: Mapping[str, tuple[str, Schema]] = field(default_factory=dict)
    is_throttled: bool = False
    #: Whether the settings turn it off: it then never succeeds, and isn't described.
    is_off: Callable[[], bool] = lambda: False
    needs_keys_or_database: bool = True
    #: The endpoints that the answer leads to: what they take, and where the answer has it.
    links: Mapping[tuple[str, str], tuple[str, str]] = field(default_factory=dict)


_RETRY: Final = (
    "A repeated request with the same `Idempotency-Key` gets the same tokens again, for as long as"
    " `JWT_AUTH_REFRESH_RETRY_WINDOW` says."
)
_VERIFIED: Final = {
    "X-Auth-User": ("`sub`: the user's key, percent-encoded.", TEXT),
    "X-Auth-Session": ("`sid`: the session's id.", {"type": "string", "format": "uuid"}),
    "X-Auth-Roles": ("`roles`: each percent-encoded, separated by commas.", TEXT),
    "X-Auth-Claims": ("All claims: base64url of the JSON object, without padding.", TEXT),
}
_WITH_THE_REFRESH_TOKEN: Final = {
    (route, "POST"): ("refresh_token", "/refresh_token") for route in ("refresh/", "logout/")
}
_CACHED: Final = {
    "ETag": ("For `If-None-Match`.", TEXT),
    "Cache-Control": ("How long the document may be kept.", TEXT),
}


def _sends_no_mail(url: str | None) -> bool:
    return url is None or conf.jwks_url is not None


ENDPOINTS: Final[Mapping[tuple[str, str], Endpoint]] = {
    ("login/", "POST"): Endpoint(
        operation="login",
        summary="Log in",
        description="Opens a session. One answer for an unknown user, a wrong password and an"
        " inactive user.",
        takes=bodies.LOGIN,
        answers={200: bodies.TOKENS},
        gives_refresh_token=True,
        refusals={401: ("invalid_credentials",)},
        is_throttled=True,
        links=_WITH_THE_REFRESH_TOKEN,
    ),
    ("refresh/", "POST"): Endpoint(
        operation="refresh",
        summary="Get new tokens",
        description=f"Exchanges the refresh token for the next one. {_RETRY}",
        credential="refresh",
        answers={200: bodies.TOKENS},
        gives_refresh_token=True,
        takes_retry_key=True,
        refusals={401: ("invalid_refresh_token",), 409: ("refresh_superseded",)},
        is_throttled=True,
        links=_WITH_THE_REFRESH_TOKEN,
    ),
    ("logout/", "POST"): Endpoint(
        operation="logout",
        summary="Log out",
        description="Ends the session of the refresh token, and the access token. It succeeds"
        " without either of them, too.",
        credential="any",
        ignores_broken_body=True,
        answers={204: None},
    ),
    ("logout-all/", "POST"): Endpoint(
        operation="logout_all",
        summary="Log out everywhere",
        description="Ends every session of the user.",
        credential="bearer",
        answers={204: None},
    ),
    ("me/", "GET"): Endpoint(
        operation="me",
        summary="Get the user",
        credential="bearer",
        answers={200: bodies.USER},
    ),
    ("sessions/", "GET"): Endpoint(
        operation="sessions_list",
        summary="List the live sessions",
        description="The user's sessions, the one used last first; 200 at most.",
        credential="bearer",
        answers={200: bodies.SESSIONS},
        links={("sessions/", "DELETE"): ("session_id", "/0/id")},
    ),
    ("sessions/", "DELETE"): Endpoint(
        operation="session_end",
        summary="End a session",
        credential="bearer",
        answers={204: None},
        refusals={404: ("not_found",)},
        parameters={
            "session_id": ("The session's id.", {"type": "string", "format": "uuid"}),
        },
    ),
    ("password/change/", "POST"): Endpoint(
        operation="password_change",
        summary="Change the password",
        description=f"Ends every session of the user and opens a new one. {_RETRY}",
        credential="bearer",
        takes=bodies.PASSWORD_CHANGE,
        answers={200: bodies.TOKENS},
        gives_refresh_token=True,
        takes_retry_key=True,
        refusals={400: ("invalid_password", "password_refused")},
        is_throttled=True,
        links=_WITH_THE_REFRESH_TOKEN,
    ),
    ("password/reset/", "POST"): Endpoint(
        operation="password_reset",
        summary="Ask for a mail to reset the password",
        description="The same answer whether or not a user has the address.",
        takes=bodies.PASSWORD_RESET,
        answers={202: None},
        is_throttled=True,
        is_off=lambda: _sends_no_mail(conf.password_reset_url),
    ),
    ("password/reset/confirm/", "POST"): Endpoint(
        operation="password_reset_confirm",
        summary="Reset the password",
        description="Takes the mail's token, and ends every session of the user.",
        takes=bodies.PASSWORD_RESET_CONFIRM,
        answers={204: None},
        refusals={400: ("invalid_token", "password_refused")},
    ),
    ("email/send-confirmation/", "POST"): Endpoint(
        operation="email_send_confirmation",
        summary="Ask for a mail to confirm the address",
        description="The mail goes to the user's own address.",
        credential="bearer",
        answers={202: None},
        is_throttled=True,
        is_off=lambda: _sends_no_mail(conf.email_confirmation_url),
    ),
    ("email/confirm/", "POST"): Endpoint(
        operation="email_confirm",
        summary="Confirm the address",
        description="Takes the mail's token. No login is needed.",
        takes=bodies.EMAIL_CONFIRM,
        answers={204: None},
        refusals={400: ("invalid_token",)},
    ),
    ("verify/", "GET"): Endpoint(
        operation="verify",
        summary="Verify the access token",
        description="For gateways. Any method is answered like GET.",
        credential="header",
        answers={204: None, 200: None},
        headers=_VERIFIED,
        parameters={"status": ("`200`: success is answered 200 instead of 204.", TEXT)},
    ),
    ("introspect/", "POST"): Endpoint(
        operation="introspect",
        summary="Introspect a token",
        description="RFC 7662. An active token's answer holds its claims.",
        credential="service",
        takes=bodies.SERVICE_TOKEN,
        answers={200: bodies.INTROSPECTION},
        refusals={400: ("invalid_request",)},
    ),
    ("revoke/", "POST"): Endpoint(
        operation="revoke",
        summary="Revoke a token",
        description="RFC 7009. The answer is the same whether or not there was such a token.",
        credential="service",
        takes=bodies.SERVICE_TOKEN,
        answers={200: None},
        refusals={400: ("invalid_request",)},
    ),
    ("denials/", "GET"): Endpoint(
        operation="denials",
        summary="List what has been revoked lately",
        credential="service",
        answers={200: bodies.DENIALS},
        refusals={404: ("feed_off",)},
    ),
    ("jwks.json", "GET"): Endpoint(
        operation="jwks",
        summary="Get the public keys",
        description="The JWK Set (RFC 7517), with which other services verify tokens.",
        answers={200: bodies.JWK_SET, 304: None},
        headers=_CACHED,
    ),
    ("oauth-authorization-server", "GET"): Endpoint(
        operation="metadata",
        summary="Get the server's metadata",
        description="RFC 8414: what is mounted here, and where.",
        answers={200: bodies.METADATA, 304: None},
        needs_keys_or_database=False,
        headers=_CACHED,
    ),
}
