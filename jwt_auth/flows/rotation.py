"""What a presented refresh token gets: its successor, the successor again, or the end of its family
(RFC 9700 §4.14.2).

The rules, each with what breaks where it is missing:

- The successor is written by one conditional UPDATE. A request that loses the race reads again and
  goes on: zero changed rows don't prove a theft, and the slower of two requests ends nothing.
- A retry with the key of the request that consumed the token gets that request's outcome again: a
  lost answer logs nobody out. A thief has no such key.
- A retry whose successor has itself been used is told so and nothing changes: it was stuck while
  its own page went on.
- Anything else with an older generation is a replay, and ends the family.
- The verdict comes before the access token is signed, and the successor is taken after that: a
  replay is caught while nothing can be signed, and what can't be signed costs nobody a token.
- A password change opens another family. To a request with its key, the newest token of the former
  family gets the first token of that one, as often as it asks within the window.
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

_NONCE_BYTES: Final = 32

#: Rotations that a family remembers for honest retries; older ones are forgotten first.
_REMEMBERED: Final = 12

#: Rotations before the last one whose nonces are kept. Each doubles what is tried where there is a
#: ``SECRET_KEY_FALLBACKS``.
_NONCES: Final = 4

#: The generation that a password change consumes: a family's first is 1.
_BEFORE_FIRST: Final = 0

#: A replay this soon after the rotation, by the same browser, is more likely a mistake than a
#: theft.
_MISTAKE_WITHIN: Final = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """The same successor as before: the family has not changed."""

    successor: RefreshToken


class Verdict(Enum):
    """What else a genuine token of a live family can be."""

    #: The one that can be used now: :func:`take` its successor.
    CURRENT = auto()
    SUPERSEDED = auto()
    REUSED = auto()
    #: Ahead of the row, or beside it: a database restored from a backup, or a forger with our
    #: SECRET_KEY.
    IMPOSSIBLE = auto()


def judge(
    family: RefreshTokenFamily, token: RefreshToken, *, retry_key: str | None, now: datetime
) -> Retried | Verdict:
    """Say what ``token`` gets of a live ``family``, whose row was just read; nothing is changed."""
    if token.generation > family.generation:
        return Verdict.IMPOSSIBLE
    if token.generation < family.generation:
        return _judge_consumed(family, token, retry_key=retry_key, now=now)
    return Verdict.CURRENT if token.digest == family.current_digest else Verdict.IMPOSSIBLE


def take(
    family: RefreshTokenFamily,
    token: RefreshToken,
    *,
    retry_key: str | None,
    client: Client,
    now: datetime,
) -> RefreshToken | None:
    """Exchange the current ``token`` for its successor; ``None`` where somebody was faster: then
    read the row again, and judge again.
    """
    nonce = secrets.token_bytes(_NONCE_BYTES)
    successor = token.successor(nonce)
    changes = {
        "generation": successor.generation,
        "current_digest": successor.digest,
        "rotation_nonce": nonce.hex(),
        "recent_rotations": _remember(family, retry_key=retry_key, now=now),
        "expires_at": expiry(family.absolute_expires_at, now=now),
        "last_used_at": now,
        "ip_address": client.ip_address,
        "user_agent": client.user_agent[:USER_AGENT_LENGTH],
    }
    if not RefreshTokenFamily.objects.rotate(family, **changes):
        return None
    for name, value in changes.items():
        setattr(family, name, value)
    return successor


def newest_of(
    family: RefreshTokenFamily, token: RefreshToken, *, retry_key: str | None, now: datetime
) -> RefreshToken | None:
    """The newest token of a family, if ``token`` is that one, or if this key may retry every
    rotation between the two. There can be several: a page that is closed during a password change
    may still refresh, and the page that comes after it does so too.
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


def begin_in_place(
    family: RefreshTokenFamily, former: RefreshToken, *, retry_key: str, now: datetime
) -> RefreshToken:
    """Give a new family its first token, which :func:`first_again` can give again."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    family.rotation_nonce = nonce.hex()
    mark = _key_digest(f"{former.family_id} {retry_key}")
    family.recent_rotations = [[_BEFORE_FIRST, mark, now.timestamp()]]
    return next(former.firsts(family.pk, nonce))


def first_again(
    family: RefreshTokenFamily, former: RefreshToken, *, retry_key: str, now: datetime
) -> Retried | Verdict | None:
    """What a retry gets of a family that may have begun in the place of ``former``'s; ``None`` if
    this one has not, by a request with this key.
    """
    mark = _key_digest(f"{former.family_id} {retry_key}")
    if not any(
        (consumed, digest) == (_BEFORE_FIRST, mark)
        and _age(seconds, now=now) <= conf.refresh_retry_window
        for consumed, digest, seconds, *_ in family.recent_rotations
    ):
        return None
    for first in former.firsts(family.pk, bytes.fromhex(family.rotation_nonce)):
        if first.digest == family.current_digest:
            return Retried(successor=first)
    return Verdict.SUPERSEDED


def expiry(absolute: datetime, *, now: datetime) -> datetime:
    """When a refresh token issued ``now`` is over: its session's end is the last moment."""
    return min(now + conf.refresh_token_lifetime, absolute)


def likely_mistake(
    family: RefreshTokenFamily,
    token: RefreshToken,
    *,
    retry_key: str | None,
    client: Client,
    now: datetime,
) -> str | None:
    """Say what a replay most likely was, where it looks like the client's own mistake; else
    ``None``.

    It is refused all the same: from here a thief in the same network would look no different.
    """
    same_browser = (family.ip_address, family.user_agent) == (
        client.ip_address,
        client.user_agent[:USER_AGENT_LENGTH],
    )
    soon = any(
        consumed == token.generation and _age(seconds, now=now) <= _MISTAKE_WITHIN
        for consumed, _, seconds, *_ in family.recent_rotations
    )
    if retry_key is not None or not same_browser or not soon:
        return None
    return (
        "The same browser sent this refresh token twice within seconds and without a key: most "
        "likely two tabs, a component mounted twice or a reload. Send an Idempotency-Key header "
        "that stays the same for a retry, or set JWT_AUTH_REFRESH_REUSE_LEEWAY."
    )


def _judge_consumed(
    family: RefreshTokenFamily, token: RefreshToken, *, retry_key: str | None, now: datetime
) -> Retried | Verdict:
    if not _is_honest_retry(family, token, retry_key=retry_key, now=now):
        return Verdict.REUSED
    if token.generation < family.generation - 1:
        return Verdict.SUPERSEDED
    # That the successor's digest is the current one also proves the presented token genuine.
    successor = newest_of(family, token, retry_key=retry_key, now=now)
    return Verdict.REUSED if successor is None else Retried(successor=successor)


def _is_honest_retry(
    family: RefreshTokenFamily, token: RefreshToken, *, retry_key: str | None, now: datetime
) -> bool:
    for consumed, key_digest, seconds, *_ in family.recent_rotations:
        if consumed != token.generation:
            continue
        age = _age(seconds, now=now)
        if retry_key is not None and key_digest == _key_digest(retry_key):
            return age <= conf.refresh_retry_window or age <= conf.refresh_reuse_leeway
        return timedelta(0) < conf.refresh_reuse_leeway and age <= conf.refresh_reuse_leeway
    return False


def _remember(
    family: RefreshTokenFamily, *, retry_key: str | None, now: datetime
) -> list[list[Any]]:
    """Add the rotation that is about to be: ``[consumed, key digest, seconds]``.

    Those before it keep their nonces as a fourth, as long as all have one key, for
    :func:`newest_of`.
    """
    window = max(conf.refresh_retry_window, conf.refresh_reuse_leeway, _MISTAKE_WITHIN)
    recent = [entry for entry in family.recent_rotations if _age(entry[2], now=now) <= window]
    key_digest = None if retry_key is None else _key_digest(retry_key)
    if key_digest is not None and recent and recent[-1][1] == key_digest:
        recent[-1] = [*recent[-1], family.rotation_nonce]
        recent[:-_NONCES] = [entry[:3] for entry in recent[:-_NONCES]]
    else:
        recent = [entry[:3] for entry in recent]
    return [*recent, [family.generation, key_digest, now.timestamp()]][-_REMEMBERED:]


def _nonce_of_successor(family: RefreshTokenFamily, token: RefreshToken) -> bytes | None:
    """The nonce of the rotation that consumed ``token``, where it is still known."""
    if token.generation == family.generation - 1:
        return bytes.fromhex(family.rotation_nonce)
    for consumed, _, _, *nonces in family.recent_rotations:
        if consumed == token.generation:
            return bytes.fromhex(nonces[0]) if nonces else None
    return None


def _key_digest(retry_key: str) -> str:
    return sha256(retry_key.encode("utf-8", "surrogatepass")).hexdigest()


def _age(seconds: float, *, now: datetime) -> timedelta:
    return timedelta(seconds=now.timestamp() - seconds)
