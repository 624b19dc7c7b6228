"""Every error of the package, one tree.

::

    JWTAuthError
    ├── AccessTokenRefused        a bearer token that is not, or no longer, good (carries a Refusal)
    ├── RefreshTokenRefused       missing, malformed, forged, expired, revoked or reused: one answer
    ├── RefreshSuperseded         an honest retry that comes too late to be answered
    ├── LogInRefused              the user is gone, inactive or has another password since
    ├── OldPasswordRefused        the current password given for a change is wrong
    ├── NewPasswordRefused        the password validators object (carries their messages)
    ├── SessionNotFound           no such live session of this user
    ├── ClaimsInvalid             the project's claims or roles callable gave what no token carries
    └── KeyFailure
        ├── InvalidKey            key material that is malformed, weak or of the wrong kind
        ├── UnknownKey            no key of that kid verifies now
        ├── NoSigningKey          the ring has no key that signs now
        ├── KeyRingExists         a ring stands where a first one was to be made
        ├── KeyRingConflict       somebody else saved the ring in between
        ├── KeyWaiting            the next key is published already, with another algorithm
        ├── KeyMisdated           a key was made by a clock that was far ahead
        ├── KeyTaken              the ring has a key of that kid, or this key
        ├── KeySignerError        the service that holds a private key does not sign
        └── KeyStoreError         the store can't be read or written
            ├── KeyRingMissing    there is no ring yet
            ├── KeyRingTorn       what lies there is not a ring
            │   └── KeyRingTooNew  it is one, written by a newer version of this package
            ├── KeyStoreExposed   others than the owner can read the private keys
            ├── KeyStoreReadOnly  the store can't be written, by its nature
            └── KeyStoreUnavailable  the store does not answer at the moment

No message holds a token, a key or other input: these texts reach logs and, translated once in
``jwt_auth.http.exception_handler``, clients.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class Refusal(StrEnum):
    """Why an access token was refused: the reason code of the event and the log record."""

    TOO_LONG = "too_long"
    MALFORMED = "malformed"
    ENCODING = "encoding"
    DUPLICATE_NAME = "duplicate_name"
    HEADER_CRIT = "header_crit"
    HEADER_FORBIDDEN = "header_forbidden"
    HEADER_TYP = "header_typ"
    HEADER_KID = "header_kid"
    HEADER_ALG = "header_alg"
    UNKNOWN_KEY = "unknown_key"
    SIGNATURE = "signature"
    CLAIM_MISSING = "claim_missing"
    CLAIM_TYPE = "claim_type"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    TOKEN_USE = "token_use"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    USER_UNKNOWN = "user_unknown"
    USER_INACTIVE = "user_inactive"
    TOKEN_VERSION = "token_version"
    SESSION_ENDED = "session_ended"
    TOKEN_REVOKED = "token_revoked"


class JWTAuthError(Exception):
    """Base of all errors that this package raises on purpose."""

    code: ClassVar[str] = "error"
    message: ClassVar[str] = "Authentication failed."

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.message)


class AccessTokenRefused(JWTAuthError):
    """A bearer token was refused; ``reason`` says why, to the log and not to the client."""

    code = "invalid_token"
    message = "The access token is invalid, expired or revoked."

    def __init__(self, reason: Refusal) -> None:
        super().__init__()
        self.reason = reason


class RefreshTokenRefused(JWTAuthError):
    """One answer for every refresh token that gets nothing, so that none tells a thief more."""

    code = "invalid_refresh_token"
    message = "The refresh token is missing, invalid, expired or revoked."

    def __init__(self, hint: str | None = None) -> None:
        super().__init__()
        #: What a developer may want to know (shown only with ``DEBUG`` on); never part of the
        #: answer else.
        self.hint = hint


class RefreshSuperseded(JWTAuthError):
    """The retry's successor has itself been used: the client already holds a newer token."""

    code = "refresh_superseded"
    message = "A newer refresh token of this session is in use; nothing was changed."


class LogInRefused(JWTAuthError):
    """The one answer to every log-in that gets nothing."""

    code = "invalid_credentials"
    message = "No active account has these credentials."


class OldPasswordRefused(JWTAuthError):
    code = "invalid_password"
    message = "The old password is not correct."


class NewPasswordRefused(JWTAuthError):
    """The project's password validators object; ``messages`` are theirs, meant for the user."""

    code = "password_refused"
    message = "The new password was refused."

    def __init__(self, messages: list[str]) -> None:
        super().__init__()
        self.messages = messages


class SessionNotFound(JWTAuthError):
    code = "not_found"
    message = "There is no such session."


class ClaimsInvalid(JWTAuthError):
    code = "claims_invalid"
    message = "The project's claims can't be put into a token."


class KeyFailure(JWTAuthError):
    code = "key_error"
    message = "The signing keys are not available."


class InvalidKey(KeyFailure):
    code = "invalid_key"
    message = "The key is malformed, too weak or of the wrong kind."


class UnknownKey(KeyFailure):
    code = "unknown_key"
    message = "No key of that id verifies tokens now."


class NoSigningKey(KeyFailure):
    code = "no_signing_key"
    message = "The key ring has no key that signs now: run `manage.py rotate_keys --now`."


class KeyRingExists(KeyFailure):
    code = "key_ring_exists"
    message = "There is a key ring already: run `manage.py rotate_keys` for the next key."


class KeyRingConflict(KeyFailure):
    code = "key_ring_conflict"
    message = "The key ring was changed by somebody else in between: run the command again."


class KeyWaiting(KeyFailure):
    code = "key_waiting"
    message = (
        "The next key is published already and has another algorithm:"
        " run `manage.py rotate_keys` again once it signs, or let it sign with `--now`."
    )


class KeyMisdated(KeyFailure):
    code = "key_misdated"
    message = (
        "A key of the ring signs in the far future only: run `manage.py rotate_keys --now` to have"
        " it sign now."
    )


class KeyTaken(KeyFailure):
    code = "key_taken"
    message = (
        "The ring has a key of that kid: run `manage.py list_keys` to see it,"
        " or give another with --kid."
    )


class KeySignerError(KeyFailure):
    """Log-ins and refreshes have to wait; verification does not ask the signer."""

    code = "key_signer_error"
    message = "The service that holds the signing key does not sign."


class KeyStoreError(KeyFailure):
    code = "key_store_error"
    message = "The key store can't be read or written."


class KeyRingMissing(KeyStoreError):
    code = "key_ring_missing"
    message = "There is no key ring yet: run `manage.py generate_keys`."


class KeyRingTorn(KeyStoreError):
    code = "key_ring_torn"
    message = "The stored key ring is torn or is not a key ring."


class KeyRingTooNew(KeyRingTorn):
    """Nothing is lost: a newer version of the package reads it."""

    code = "key_ring_too_new"
    message = "The stored key ring was written by a newer version: upgrade jwt_auth."


class KeyStoreExposed(KeyStoreError):
    code = "key_store_exposed"
    message = "The private keys can be read by others than their owner."


class KeyStoreReadOnly(KeyStoreError):
    """The ring is made and changed elsewhere; the text says where."""

    code = "key_store_read_only"
    message = "The key store can only be read."


class KeyStoreUnavailable(KeyStoreError):
    """Nothing is wrong with the request; the same one may be answered in a minute."""

    code = "key_store_unavailable"
    message = "The key store does not answer at the moment."
