"""Decide what a presented refresh token gets: its successor, the same successor again, or the end
of its family (RFC 9700 §4.14.2).

:func:`judge` decides and changes nothing; :func:`take` is the one UPDATE. These are the rules, each
with the reason why it is needed:

- The successor is written by one conditional UPDATE. A request that loses the race reads the row
  again and continues: zero changed rows don't prove a theft, so the slower of two honest requests
  must not end the session.
- A retry with the key of the request that consumed the token gets the outcome of that request
  again. Otherwise a lost response would log the user out. A thief doesn't have the key.
- A retry whose successor has been used in the meantime gets the answer "superseded", and nothing
  changes: the request was stuck while its own page continued without it.
- Any other use of an older generation is a replay, and ends the family.
- The access token is signed after the verdict and before the successor is taken. So a replay is
  detected even while no key can sign, and a failure to sign doesn't consume the refresh token.
- A password change opens another family. A request with its key gets the first token of that family
  for the newest token of the former one (:mod:`jwt_auth.flows.password_retries`).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from hashlib import sha256
from typing import Any, Final

from jwt_auth.conf import conf
from jwt_auth.models import USER_AGENT_LENGTH, Client, RefreshTokenFamily
from jwt_auth.tokens.refresh import RefreshToken

NONCE_BYTES: Final = 32

#: How many rotations a family remembers for honest retries. The oldest are forgotten first.
_REMEMBERED: Final = 12

#: How many rotations before the last one keep their nonces. With ``SECRET_KEY_FALLBACKS``, each of
#: them doubles the number of tokens that :func:`newest_of` has to try.
_NONCES: Final = 4

#: A replay by the same browser, this soon after the rotation, is more likely a mistake of the page
#: than a theft.
_MISTAKE_WITHIN: Final = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """An honest retry: it gets the same successor as before, and the family hasn't changed."""

    successor: RefreshToken


class Verdict(Enum):
    """What else a genuine token of a live family can be."""

    #: The token that can be used now: :func:`take` its successor.
    CURRENT = auto()
    #: An honest retry that comes too late: its successor has been used.
    SUPERSEDED = auto()
    #: A replay: the family has to end.
    REUSED = auto()
    #: Newer than the row, or of the same generation with another secret. Either the database was
    #: restored from a backup, or an attacker has our SECRET_KEY.
    IMPOSSIBLE = auto()


def judge(
    family: RefreshTokenFamily, token: RefreshToken, *, retry_key: str | None, now: datetime
) -> Retried | Verdict:
    """Decide what ``token`` gets from a live ``family`` whose row has just been read."""
    if token.generation > family.generation:
        return Verdict.IMPOSSIBLE
    if token.generation < family.generation:
        return _judge_consumed(family, token, retry_key=retry_key, now=now)
    return Verdict.CURRENT if token.digest == family.current_digest else Verdict.IMPOSSIBLE


def _judge_consumed(
    family: RefreshTokenFamily, token: RefreshToken, *, retry_key: str | None, now: datetime
) -> Retried | Verdict:
    if not _is_honest_retry(family, token, retry_key=retry_key, now=now):
        return Verdict.REUSED
    if token.generation < family.generation - 1:
        return Verdict.SUPERSEDED
    # The successor is found by the digest of the current token, which is derived from the presented
    # one. So this also proves that the presented token is genuine.
    successor = newest_of(family, token, retry_key=retry_key, now=now)
    return Verdict.REUSED if successor is None else Retried(successor=successor)


def take(
    family: RefreshTokenFamily,
    token: RefreshToken,
    *,
    retry_key: str | None,
    client: Client,
    now: datetime,
) -> RefreshToken | None:
    """Exchange the current ``token`` for its successor, in the database and in ``family``.

    Returns ``None`` if another request was faster. Then read the row and judge again.
    """
    nonce = secrets.token_bytes(NONCE_BYTES)
    successor = token.successor(nonce)
    changes = {
        "generation": successor.generation,
        "current_digest": successor.digest,
        "rotation_nonce": nonce.hex(),
        "recent_rotations": _remember(family, retry_key=retry_key, now=now),
        "expires_at": expiry(family, now=now),
        "last_used_at": now,
        "ip_address": client.ip_address,
        "user_agent": client.user_agent[:USER_AGENT_LENGTH],
    }
    if not RefreshTokenFamily.objects.rotate(family, **changes):
        return None
    for name, value in changes.items():
        setattr(family, name, value)
    return successor


def _remember(
    family: RefreshTokenFamily, *, retry_key: str | None, now: datetime
) -> list[list[Any]]:
    """List the recent rotations with this one: ``[consumed, digest of the key, seconds]`` each.

    An entry also keeps its nonce, as a fourth item, while every later rotation has the same key:
    :func:`newest_of` walks along those.
    """
    window = max(conf.refresh_retry_window, conf.refresh_reuse_leeway, _MISTAKE_WITHIN)
    recent = [entry for entry in family.recent_rotations if age_of(entry[2], now=now) <= window]
    key_digest = None if retry_key is None else digest_of(retry_key)
    if key_digest is not None and recent and recent[-1][1] == key_digest:
        recent[-1] = [*recent[-1], family.rotation_nonce]
        recent[:-_NONCES] = [entry[:3] for entry in recent[:-_NONCES]]
    else:
        recent = [entry[:3] for entry in recent]
    return [*recent, [family.generation, key_digest, now.timestamp()]][-_REMEMBERED:]


def newest_of(
    family: RefreshTokenFamily, token: RefreshToken, *, retry_key: str | None, now: datetime
) -> RefreshToken | None:
    """Find the newest token of a family, starting from ``token``.

    Returns ``None`` unless ``token`` is the newest, or every rotation between the two may be
    retried with this key. There can be several such rotations: a page that is closed during a
    password change may still refresh, and so may the page that is opened after it.
    """
    if token.generation == family.generation:
        return token if token.digest == family.current_digest else None
    nonce = _nonce_of_successor(family, token)
    if nonce is None or not _is_honest_retry(family, token, retry_key=retry_key, now=now):
        return None
    for successor in token.successors(nonce):
        newest = newest_of(family, successor, retry_key=retry_key, now=now)
        if newest is not None:
            return newest
    return None


def _nonce_of_successor(family: RefreshTokenFamily, token: RefreshToken) -> bytes | None:
    """Find the nonce of the rotation that consumed ``token``, if the family still keeps it."""
    if token.generation == family.generation - 1:
        return bytes.fromhex(family.rotation_nonce)
    for consumed, _, _, *nonces in family.recent_rotations:
        if consumed == token.generation:
            return bytes.fromhex(nonces[0]) if nonces else None
    return None


def _is_honest_retry(
    family: RefreshTokenFamily, token: RefreshToken, *, retry_key: str | None, now: datetime
) -> bool:
    for consumed, key_digest, seconds, *_ in family.recent_rotations:
        if consumed != token.generation:
            continue
        age = age_of(seconds, now=now)
        if retry_key is not None and key_digest == digest_of(retry_key):
            return age <= conf.refresh_retry_window or age <= conf.refresh_reuse_leeway
        return timedelta(0) < conf.refresh_reuse_leeway and age <= conf.refresh_reuse_leeway
    return False


def likely_mistake(
    family: RefreshTokenFamily,
    token: RefreshToken,
    *,
    retry_key: str | None,
    client: Client,
    now: datetime,
) -> str | None:
    """Explain a replay that is probably the client's own mistake; ``None`` for any other replay.

    The token is refused all the same: a thief in the same network would look no different to the
    server.
    """
    same_browser = (family.ip_address, family.user_agent) == (
        client.ip_address,
        client.user_agent[:USER_AGENT_LENGTH],
    )
    soon = any(
        consumed == token.generation and age_of(seconds, now=now) <= _MISTAKE_WITHIN
        for consumed, _, seconds, *_ in family.recent_rotations
    )
    if retry_key is not None or not same_browser or not soon:
        return None
    return (
        "The same browser sent this refresh token twice within seconds without an Idempotency-Key "
        "header. Most likely this was a second tab, a component mounted twice, or a reload. "
        "Send an Idempotency-Key header that stays the same for a retry, or set "
        "JWT_AUTH_REFRESH_REUSE_LEEWAY."
    )


def expiry(family: RefreshTokenFamily, *, now: datetime) -> datetime:
    """When a refresh token issued ``now`` expires: at the end of its session at the latest."""
    lifetime: timedelta | None = family.refresh_lifetime
    if lifetime is None:
        lifetime = conf.refresh_token_lifetime
    end: datetime = family.absolute_expires_at
    return min(now + lifetime, end)


def digest_of(retry_key: str) -> str:
    return sha256(retry_key.encode("utf-8", "surrogatepass")).hexdigest()


def age_of(seconds: float, *, now: datetime) -> timedelta:
    """How long before ``now`` a moment was, in seconds since the epoch."""
    return timedelta(seconds=now.timestamp() - seconds)
