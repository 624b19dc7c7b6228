"""All errors that the package raises, as one tree.

::

    JWTAuthError
    ├── AccessTokenRefused        an invalid, expired or revoked bearer token (carries a Refusal)
    ├── RefreshTokenRefused       missing, malformed, forged, expired, revoked or reused: one answer
    ├── RefreshSuperseded         a legitimate retry that came too late to get its answer again
    ├── LogInRefused              the user doesn't exist, is inactive or has another password by now
    ├── OldPasswordRefused        the current password given for a change is wrong
    ├── NewPasswordRefused        the password validators object (carries their messages)
    ├── OneTimeTokenRefused       expired, used, tampered or for another purpose (carries a Refusal)
    ├── SessionNotFound           this user has no live session with that id
    ├── ServiceClientRefused      the client doesn't exist, is inactive or has another secret
    ├── ServiceNameTaken          a service client with that name exists, active or not
    ├── HasherMissing             the secrets of service clients can't be hashed
    ├── RevocationUnknown         whether the token is revoked can't be found out at the moment
    ├── MailNotSent               a message could not be composed or sent
    ├── ClaimsInvalid             the project's claims or roles callable returned unusable values
    ├── LifetimesInvalid          the project's callable returned lifetimes that no session may have
    └── KeyFailure
        ├── InvalidKey            the key material is malformed, weak or of the wrong kind
        ├── UnknownKey            no key with that kid verifies tokens now
        ├── NoSigningKey          the ring has no key that signs now
        │   └── VerifyOnly        the keys are another service's, which signs with them
        ├── KeyRingExists         the first ring can't be made, because there is one already
        ├── KeyRingConflict       another process saved the ring in the meantime
        ├── KeyWaiting            the next key is published already, with another algorithm
        ├── KeyMisdated           a key was made while the clock was far ahead
        ├── KeyTaken              the ring has a key with that kid already, or this very key
        ├── KeySignerError        the service that holds a private key failed to sign
        └── KeyStoreError         the store can't be read or written
            ├── KeyRingMissing    the first ring has not been made yet
            ├── KeyRingTorn       the stored data is damaged or is not a key ring
            │   └── KeyRingTooNew  the ring was written by a newer version of this package
            ├── KeyStoreExposed   users other than the owner can read the private keys
            ├── KeyStoreReadOnly  a store of this kind can't be written
            └── KeyStoreUnavailable  the store doesn't answer at the moment

No message contains a token, a key or other input. The messages reach logs, and clients through
``jwt_auth.http.exception_handler``, the one place that translates them to HTTP.

``str()`` of an error is English, because it ends up in logs and in a header that must be ASCII.
Only ``detail`` is in the active language. So the messages are plain strings, marked for extraction.
Messages for operators are not marked.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from django.utils.translation import gettext


def _(message: str) -> str:
    """Mark a message for extraction.

    Django's ``gettext_noop`` does the same, but needs the settings, and programs without settings
    import this module, too.
    """
    return message


class Refusal(StrEnum):
    """Why an access token or a one-time token was refused: the code in the signal and the log."""

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
    REFUSED_BY_ISSUER = "refused_by_issuer"
    PURPOSE = "purpose"
    BINDING = "binding"
    USED = "used"


class JWTAuthError(Exception):
    """Base of all errors that this package raises on purpose."""

    code: ClassVar[str] = "error"
    message: ClassVar[str] = _("Authentication failed.")

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.message)

    @property
    def detail(self) -> str:
        """The message for users, in the active language; ``str()`` gives it in English."""
        return gettext(str(self))


class AccessTokenRefused(JWTAuthError):
    """A bearer token was refused. ``reason`` is for the log and never shown to the client."""

    code = "invalid_token"
    message = _("The access token is invalid, expired or revoked.")

    def __init__(self, reason: Refusal) -> None:
        super().__init__()
        self.reason = reason


class RefreshTokenRefused(JWTAuthError):
    """A refresh token was refused. The answer never says why, so that a thief learns nothing."""

    code = "invalid_refresh_token"
    message = _("The refresh token is missing, invalid, expired or revoked.")

    def __init__(self, hint: str | None = None) -> None:
        super().__init__()
        #: A hint for developers. It is part of the answer only with ``DEBUG`` on.
        self.hint = hint


class RefreshSuperseded(JWTAuthError):
    """The retry's successor has itself been used: the client already holds a newer token."""

    code = "refresh_superseded"
    message = _("A newer refresh token of this session is in use; nothing was changed.")


class LogInRefused(JWTAuthError):
    """A login was refused. The answer never says whether the account or the password is wrong."""

    code = "invalid_credentials"
    message = _("No active account has these credentials.")


class OldPasswordRefused(JWTAuthError):
    code = "invalid_password"
    message = _("The old password is not correct.")


class NewPasswordRefused(JWTAuthError):
    """The password validators object; ``messages`` are their texts, to be shown to the user."""

    code = "password_refused"
    message = _("The new password was refused.")

    def __init__(self, messages: list[str]) -> None:
        super().__init__()
        self.messages = messages


class OneTimeTokenRefused(JWTAuthError):
    """A one-time token was refused. ``reason`` is for the log and never shown to the client."""

    code = "invalid_token"
    message = _("The token is invalid, expired or already used.")

    def __init__(self, reason: Refusal) -> None:
        super().__init__()
        self.reason = reason


class SessionNotFound(JWTAuthError):
    code = "not_found"
    message = _("There is no such session.")


class ServiceClientRefused(JWTAuthError):
    """A service client was refused. The answer never says whether the id or the secret is wrong."""

    code = "invalid_client"
    message = _("No active service client has this id and secret.")


class ServiceNameTaken(JWTAuthError):
    code = "service_name_taken"
    message = "There is a service client with this name already: give another name."


class HasherMissing(JWTAuthError):
    code = "hasher_missing"
    message = (
        "Service clients need argon2-cffi: run"
        ' `python -m pip install "django-jwt-sessions[argon2]"`.'
    )


class RevocationUnknown(JWTAuthError):
    """A verify-only service has to ask the issuer about a token, and can't."""

    code = "revocation_unknown"
    message = "Whether the access token is revoked can't be found out at the moment."


class MailNotSent(JWTAuthError):
    """A message was not sent; its text holds neither the address nor the link."""

    code = "mail_not_sent"
    message = "A message could not be sent."

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(f"A message ({kind}) could not be sent: {reason}.")


class ClaimsInvalid(JWTAuthError):
    code = "claims_invalid"
    message = "The project's claims can't be put into a token."


class LifetimesInvalid(JWTAuthError):
    code = "lifetimes_invalid"
    message = "JWT_AUTH_SESSION_LIFETIMES returned lifetimes that no session may have."


class KeyFailure(JWTAuthError):
    code = "key_error"
    message = "The signing keys are not available."


class InvalidKey(KeyFailure):
    code = "invalid_key"
    message = "The key is malformed, too weak or of the wrong kind."


class UnknownKey(KeyFailure):
    code = "unknown_key"
    message = "The key ring has no key with this kid that verifies tokens now."


class NoSigningKey(KeyFailure):
    code = "no_signing_key"
    message = "The key ring has no key that signs now: run `manage.py rotate_keys --now`."


class VerifyOnly(NoSigningKey):
    """``JWT_AUTH_JWKS_URL`` is set, so the private keys are at the issuer."""

    code = "verify_only"
    message = (
        "This service only verifies tokens (JWT_AUTH_JWKS_URL): users log in and out at the issuer."
    )


class KeyRingExists(KeyFailure):
    code = "key_ring_exists"
    message = "There is a key ring already: run `manage.py rotate_keys` for the next key."


class KeyRingConflict(KeyFailure):
    code = "key_ring_conflict"
    message = "Another process changed the key ring in the meantime: run the command again."


class KeyWaiting(KeyFailure):
    code = "key_waiting"
    message = (
        "The next key is published already and has another algorithm: run"
        " `manage.py rotate_keys` again once it signs, or let it sign at once with `--now`."
    )


class KeyMisdated(KeyFailure):
    code = "key_misdated"
    message = (
        "A key in the ring is to sign only in the far future, so a clock was wrong: run"
        " `manage.py rotate_keys --now` to let it sign now."
    )


class KeyTaken(KeyFailure):
    code = "key_taken"
    message = (
        "The ring already has a key with this kid: run `manage.py list_keys` to see it,"
        " or give another kid with --kid."
    )


class KeySignerError(KeyFailure):
    """Logins and refreshes fail meanwhile; tokens are still verified, without the signer."""

    code = "key_signer_error"
    message = "The service that holds the signing key failed to sign."


class KeyStoreError(KeyFailure):
    code = "key_store_error"
    message = "The key store can't be read or written."


class KeyRingMissing(KeyStoreError):
    code = "key_ring_missing"
    message = "There is no key ring yet: run `manage.py generate_keys`."


class KeyRingTorn(KeyStoreError):
    code = "key_ring_torn"
    message = "The stored key ring is damaged, or it is not a key ring."


class KeyRingTooNew(KeyRingTorn):
    """The ring is intact, but only a newer version of the package can read it."""

    code = "key_ring_too_new"
    message = "The stored key ring was written by a newer version: upgrade jwt_auth."


class KeyStoreExposed(KeyStoreError):
    code = "key_store_exposed"
    message = "Users other than their owner can read the private keys."


class KeyStoreReadOnly(KeyStoreError):
    """The ring is made and changed outside of this store; the text says where."""

    code = "key_store_read_only"
    message = "The key store is read-only."


class KeyStoreUnavailable(KeyStoreError):
    """The store is temporarily unavailable: the same request may succeed a minute later."""

    code = "key_store_unavailable"
    message = "The key store does not answer at the moment."
