"""Structured records of every security event, on the logger ``jwt_auth.security``.

A record's message is one line with the event and its fields, for plain formats. Its ``extra`` holds
the same fields as a dict, for JSON formats. Tokens, digests and keys can't appear in the log,
because the signals that it records never carry any.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any, Final

from django.contrib.auth import get_user_model, user_login_failed
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from jwt_auth import signals
from jwt_auth.exceptions import KeyRingConflict, KeyRingExists, Refusal
from jwt_auth.http.addresses import client_of
from jwt_auth.models import Client, Reason, RefreshTokenFamily, ServiceClient
from jwt_auth.startup import Process
from jwt_auth.tokens.claims import AccessToken

logger: Final = logging.getLogger("jwt_auth.security")

#: Characters of a client's user agent that a record holds.
_USER_AGENT: Final = 120


def connect_security_log() -> None:
    """Record the package's signals from now on; called once, when the apps are ready."""
    for signal, receiver in (
        (signals.session_opened, _session_opened),
        (signals.session_refreshed, _session_refreshed),
        (signals.refresh_retried, _refresh_retried),
        (signals.session_ended, _session_ended),
        (signals.reuse_detected, _reuse_detected),
        (signals.refresh_token_forged, _refresh_token_forged),
        (signals.refresh_token_refused, _refresh_token_refused),
        (signals.token_refused, _token_refused),
        (signals.token_denied, _token_denied),
        (signals.access_tokens_revoked, _access_tokens_revoked),
        (signals.one_time_token_used, _one_time_token_used),
        (signals.one_time_token_refused, _one_time_token_refused),
        (signals.email_confirmed, _email_confirmed),
        (signals.service_client_refused, _service_client_refused),
        (signals.service_client_changed, _service_client_changed),
        (signals.key_event, _key_event),
        (signals.attempt_throttled, _attempt_throttled),
        (signals.cross_site_refused, _cross_site_refused),
        (user_login_failed, _log_in_failed),
    ):
        signal.connect(receiver, dispatch_uid=f"jwt_auth.audit{receiver.__name__}")


def _session_opened(*, family: RefreshTokenFamily, client: Client, **kwargs: Any) -> None:
    _record(logging.INFO, "session_opened", client, **_session_fields(family))


def _session_refreshed(*, family: RefreshTokenFamily, client: Client, **kwargs: Any) -> None:
    _record(logging.INFO, "session_refreshed", client, **_session_fields(family))


def _refresh_retried(
    *, family: RefreshTokenFamily, client: Client, superseded: bool, **kwargs: Any
) -> None:
    _record(
        logging.INFO, "refresh_retried", client, superseded=superseded, **_session_fields(family)
    )


def _session_ended(
    *,
    user_id: Any,
    session_ids: list[Any] | None,
    reason: Reason,
    client: Client | None,
    **kwargs: Any,
) -> None:
    ended = "all" if session_ids is None else [str(session_id) for session_id in session_ids]
    _record(
        logging.INFO,
        "session_ended",
        client,
        user_id=_text(user_id),
        session_ids=ended,
        reason=str(reason),
    )


def _reuse_detected(
    *, family: RefreshTokenFamily, generation: int, client: Client, hint: str | None, **kwargs: Any
) -> None:
    _record(
        logging.WARNING,
        "reuse_detected",
        client,
        token_generation=generation,
        generation=family.generation,
        hint=hint,
        **_session_fields(family),
    )


def _refresh_token_forged(*, client: Client, **kwargs: Any) -> None:
    _record(logging.WARNING, "refresh_token_forged", client)


def _refresh_token_refused(*, reason: str, session_id: Any, client: Client, **kwargs: Any) -> None:
    level = logging.WARNING if reason == "impossible" else logging.INFO
    _record(level, "refresh_token_refused", client, reason=reason, session_id=str(session_id))


def _token_refused(
    *, reason: Refusal, token: AccessToken | None, client: Client, **kwargs: Any
) -> None:
    fields = {}
    if token is not None:
        fields = {
            "user_id": token.subject,
            "session_id": str(token.session_id),
            "jti": token.jti,
            "kid": token.kid,
        }
    # Clients present an expired token whenever it is time to refresh: that is normal traffic.
    level = logging.DEBUG if reason == Refusal.EXPIRED else logging.INFO
    _record(level, "token_refused", client, reason=str(reason), **fields)


def _token_denied(*, jti: str, user_id: Any, **kwargs: Any) -> None:
    _record(logging.INFO, "token_denied", None, jti=jti, user_id=_text(user_id))


def _one_time_token_used(
    *, user: AbstractBaseUser, purpose: str, client: Client | None, **kwargs: Any
) -> None:
    _record(logging.INFO, "one_time_token_used", client, user_id=_text(user.pk), purpose=purpose)


def _one_time_token_refused(
    *, purpose: str, reason: Refusal, user_id: str | None, client: Client | None, **kwargs: Any
) -> None:
    fields = {"user_id": user_id, "purpose": purpose, "reason": str(reason)}
    _record(logging.INFO, "one_time_token_refused", client, **fields)


def _email_confirmed(*, user: AbstractBaseUser, client: Client | None, **kwargs: Any) -> None:
    # The address isn't in the record. It is the user's at that time.
    _record(logging.INFO, "email_confirmed", client, user_id=_text(user.pk))


def _access_tokens_revoked(*, user_id: Any, client: Client | None, **kwargs: Any) -> None:
    _record(logging.INFO, "access_tokens_revoked", client, user_id=_text(user_id))


def _service_client_refused(
    *, service: ServiceClient | None, client: Client, **kwargs: Any
) -> None:
    # The name of a client that exists only: the one that was sent may be a secret.
    name = None if service is None else service.name
    _record(logging.WARNING, "service_client_refused", client, name=name)


def _service_client_changed(*, service: ServiceClient, event: str, **kwargs: Any) -> None:
    fields = {"client_id": str(service.pk), "name": service.name}
    _record(logging.INFO, f"service_client_{event}", None, **fields)


def _key_event(*, event: str, kid: str | None, store: str, process: Process, **kwargs: Any) -> None:
    fields = {"kid": kid, "kids": kwargs["kids"], "store": store, **asdict(process)}
    if event == "refused":
        fields |= {"operation": kwargs["operation"], "reason": kwargs["reason"]}
    _record(_key_level(event, **kwargs), f"key_{event}", None, **fields)


def _key_level(event: str, *, reason: str | None, routine: bool, **kwargs: Any) -> int:
    if routine:
        return logging.DEBUG
    # If two processes change the ring at the same time, one of them is refused: that is normal.
    harmless = event != "refused" or reason in {KeyRingConflict.code, KeyRingExists.code}
    return logging.INFO if harmless else logging.WARNING


def _attempt_throttled(*, scope: str, ident: str, **kwargs: Any) -> None:
    _record(logging.WARNING, "attempt_throttled", None, scope=scope, ident=ident)


def _cross_site_refused(*, path: str, client: Client, reason: str, **kwargs: Any) -> None:
    _record(logging.WARNING, "cross_site_refused", client, path=path, reason=reason)


def _log_in_failed(
    *, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any
) -> None:
    """Record Django's signal, so that failed logins through Django's forms are logged, too."""
    client = None if request is None else client_of(request)
    name = credentials.get("username", credentials.get(get_user_model().USERNAME_FIELD))
    # A digest suffices to tell the attempts at different accounts apart. The name itself could be
    # a password that was typed into the wrong field.
    account = None if name is None else _digest(str(name))
    _record(logging.WARNING, "log_in_failed", client, account=account)


def _digest(name: str) -> str:
    return salted_hmac(__name__, name, algorithm="sha256").hexdigest()[:16]


def _session_fields(family: RefreshTokenFamily) -> dict[str, Any]:
    return {"user_id": _text(family.user_id), "session_id": str(family.pk)}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _record(level: int, event: str, client: Client | None, **fields: Any) -> None:
    if not logger.isEnabledFor(level):
        return
    fields = {"event": event, **fields}
    if client is not None:
        fields["ip_address"] = client.ip_address
        fields["user_agent"] = client.user_agent[:_USER_AGENT]
    # With repr(), because a client controls some values: a line break in one of them would
    # otherwise start a line that looks like another record.
    text = " ".join(f"{name}={value!r}" for name, value in fields.items() if name != "event")
    logger.log(level, "%s %s", event, text, extra={"jwt_auth": fields})
