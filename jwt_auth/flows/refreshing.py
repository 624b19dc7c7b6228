"""Refresh a session: judge the refresh token, sign an access token, then take the successor.

The rules are in :mod:`jwt_auth.flows.rotation`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NoReturn

from django.db import connections
from django.dispatch import Signal
from django.views.decorators.debug import sensitive_variables

from jwt_auth import signals
from jwt_auth.exceptions import RefreshSuperseded, RefreshTokenRefused
from jwt_auth.flows.ending import end_session
from jwt_auth.flows.issuing import Issued, issue_access_token
from jwt_auth.flows.password_retries import Opened, find_opened
from jwt_auth.flows.presented import verify_refresh_token
from jwt_auth.flows.rotation import Retried, Verdict, judge, likely_mistake, take
from jwt_auth.models import Client, Reason, RefreshTokenFamily, token_version_of, write_database
from jwt_auth.tokens.refresh import RefreshToken
from jwt_auth.users import is_hidden

#: After a lost race the row has changed, so a second look decides. To need more would be a fault of
#: this module.
_LOOKS: Final = 3


@sensitive_variables()
def refresh(
    presented: str | RefreshToken, *, retry_key: str | None, client: Client, now: datetime
) -> Issued:
    """Exchange a refresh token for its successor (RFC 9700 §4.14.2).

    If a password change with this retry key has opened another session in place of the token's, the
    client gets the first token of that session.

    ``presented`` is the text that the client sent, or the token from :func:`verify_refresh_token`.

    Raises:
        RefreshTokenRefused: forged, unknown, expired, revoked or reused; a reuse has ended the
            family.
        RefreshSuperseded: an honest retry that came too late to be answered; nothing has changed.
        ClaimsInvalid, KeyFailure: no access token can be issued; nothing has changed.
        RuntimeError: called in a transaction. A rollback would revive a session that was ended
            because its token had been stolen.
    """
    _require_no_transaction()
    if isinstance(presented, str):
        token = verify_refresh_token(presented, client=client)
    else:
        token = presented
    for _ in range(_LOOKS):
        family = _load(token, client=client)
        if opened := find_opened(family, token, retry_key=retry_key, now=now):
            return _answer_again(opened, token, client=client, now=now)
        _require_live(family, token, client=client, now=now)
        verdict = judge(family, token, retry_key=retry_key, now=now)
        if verdict is Verdict.REUSED:
            hint = likely_mistake(family, token, retry_key=retry_key, client=client, now=now)
            _end_reused(family, token, client=client, now=now, hint=hint)
            raise RefreshTokenRefused(hint)
        if verdict is Verdict.IMPOSSIBLE:
            _refuse("impossible", token, client=client)
        if verdict is Verdict.SUPERSEDED:
            _announce(signals.refresh_retried, family, client=client, superseded=True)
            raise RefreshSuperseded
        access_token = issue_access_token(family, now=now)
        if isinstance(verdict, Retried):
            _announce(signals.refresh_retried, family, client=client, superseded=False)
            return Issued.of(family, access_token, verdict.successor, now=now)
        successor = take(family, token, retry_key=retry_key, client=client, now=now)
        if successor is not None:
            _announce(signals.session_refreshed, family, client=client)
            return Issued.of(family, access_token, successor, now=now)
        # Another request was faster: read the row again.
    _refuse("contended", token, client=client)


def _require_no_transaction() -> None:
    database = write_database(RefreshTokenFamily)
    blocks: list[Any] = connections[database].atomic_blocks
    # Django's TestCase runs each test in a transaction, which atomic(durable=True) ignores, too.
    if blocks and not blocks[-1]._from_testcase:
        using = "" if database == "default" else f'(using="{database}")'
        raise RuntimeError(
            "flows.refresh() can't run in a transaction, because a rollback would revive a stolen "
            f"session. Write @transaction.non_atomic_requests{using} above the view, or call "
            "flows.refresh() outside of transaction.atomic()."
        )


def _load(token: RefreshToken, *, client: Client) -> RefreshTokenFamily:
    family = RefreshTokenFamily.objects.load(token.family_id)
    if family is None:
        _refuse("unknown", token, client=client)
    return family


def _answer_again(opened: Opened, token: RefreshToken, *, client: Client, now: datetime) -> Issued:
    family, outcome = opened.family, opened.outcome
    _require_live(family, token, client=client, now=now)
    superseded = not isinstance(outcome, Retried)
    _announce(signals.refresh_retried, family, client=client, superseded=superseded)
    if not isinstance(outcome, Retried):
        raise RefreshSuperseded
    access_token = issue_access_token(family, now=now)
    return Issued.of(family, access_token, outcome.successor, now=now)


def _require_live(
    family: RefreshTokenFamily, token: RefreshToken, *, client: Client, now: datetime
) -> None:
    if family.revoked_at is not None:
        _refuse("revoked", token, client=client)
    if not family.is_live(now):
        _refuse("expired", token, client=client)
    if not family.user.is_active:
        _refuse("user_inactive", token, client=client)
    if is_hidden(family.user_id):
        _refuse("user_hidden", token, client=client)
    if family.token_version != token_version_of(family.user):
        _refuse("token_version", token, client=client)


def _refuse(reason: str, token: RefreshToken, *, client: Client) -> NoReturn:
    signals.refresh_token_refused.send_robust(
        sender=RefreshTokenFamily, reason=reason, session_id=token.family_id, client=client
    )
    raise RefreshTokenRefused


def _end_reused(
    family: RefreshTokenFamily,
    token: RefreshToken,
    *,
    client: Client,
    now: datetime,
    hint: str | None,
) -> None:
    # Committed before the 401 is raised: a rollback of the request must not revive the session.
    end_session(family.pk, reason=Reason.REUSE_DETECTED, client=client, now=now)
    signals.reuse_detected.send_robust(
        sender=RefreshTokenFamily,
        family=family,
        generation=token.generation,
        client=client,
        hint=hint,
    )


def _announce(signal: Signal, family: RefreshTokenFamily, **named: Any) -> None:
    signal.send_robust(sender=RefreshTokenFamily, family=family, **named)
