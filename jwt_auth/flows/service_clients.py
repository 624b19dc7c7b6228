"""Create, verify and deactivate service clients, whose secrets are stored as Argon2 hashes."""

from __future__ import annotations

import hmac
import secrets
from contextlib import AbstractContextManager
from datetime import datetime
from hashlib import sha256
from importlib.util import find_spec
from threading import Lock
from typing import Final, NoReturn
from uuid import UUID

from django.contrib.auth.hashers import Argon2PasswordHasher
from django.db import IntegrityError, transaction
from django.views.decorators.debug import sensitive_variables

from jwt_auth import forks, signals
from jwt_auth.exceptions import HasherMissing, ServiceClientRefused, ServiceNameTaken
from jwt_auth.models import Client, ServiceClient

_SECRET_BYTES: Final = 32

#: Of a hint, in hex digits.
_HINT_LENGTH: Final = 4

#: Clients whose secrets a process remembers.
_MAX_REMEMBERED: Final = 1024


class _VerifiedSecrets:
    """The secrets that this process has verified, as digests with a key that only it has.

    One run of Argon2 takes tens of milliseconds and 100 MB, and a service may ask at each of its
    own requests. The client's row is read each time all the same, and decides: a deactivated client
    is refused at once, and a digest is worthless as soon as the row has another hash.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._digests: dict[UUID, bytes] = {}
        #: Held during a run of Argon2, so that a burst of requests needs its memory once.
        self.lock = Lock()
        forks.after_fork_in_child(self._renew_lock)

    @sensitive_variables()
    def has(self, service: ServiceClient | None, secret: str) -> bool:
        if service is None or not service.is_active:
            return False
        known = self._digests.get(service.pk, b"")
        return hmac.compare_digest(known, self._digest(service, secret))

    @sensitive_variables()
    def add(self, service: ServiceClient, secret: str) -> None:
        if len(self._digests) >= _MAX_REMEMBERED:
            self._digests.clear()
        self._digests[service.pk] = self._digest(service, secret)

    def _digest(self, service: ServiceClient, secret: str) -> bytes:
        return hmac.digest(self._key, f"{service.secret_hash} {secret}".encode(), "sha256")

    def _renew_lock(self) -> None:
        self.lock = Lock()


_verified: Final = _VerifiedSecrets()


@sensitive_variables()
def create_service_client(name: str, *, now: datetime) -> tuple[ServiceClient, str]:
    """Create a client and return it with its secret, which can't be read again.

    Raises:
        ServiceNameTaken: another client has the name, even if it is deactivated.
        HasherMissing: argon2-cffi is not installed.
    """
    hasher = _get_hasher()
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    service = ServiceClient(
        name=name,
        secret_hash=hasher.encode(secret, hasher.salt()),
        secret_hint=_hint(secret),
        created_at=now,
    )
    database = ServiceClient.objects.deciding().db
    try:
        with transaction.atomic(using=database):
            service.save(using=database, force_insert=True)
    except IntegrityError:
        raise ServiceNameTaken from None
    _announce(service, "created")
    return service, secret


def deactivate_service_client(service: ServiceClient, *, now: datetime) -> bool:
    """Refuse a client from now on, for good; return whether it was active."""
    was_active = bool(ServiceClient.objects.filter(pk=service.pk).deactivate(now=now))
    if was_active:
        _announce(service, "deactivated")
    return was_active


@sensitive_variables()
def verify_service_client(
    client_id: str, secret: str, *, client: Client, attempt: AbstractContextManager[object]
) -> ServiceClient:
    """Find the active client with this id and secret.

    ``attempt`` is entered for a secret that this process hasn't verified before, and may refuse it.

    Raises:
        ServiceClientRefused: the client is unknown or inactive, or this isn't its secret; the
            signal ``service_client_refused`` has reported it before.
        HasherMissing: argon2-cffi is not installed.
    """
    service = ServiceClient.objects.find(client_id)
    if service is not None and _verified.has(service, secret):
        return service
    if service is None or not service.is_active or not _has_hint(service, secret):
        with attempt:
            _refuse(service, client)
    forks.renew_if_forked()
    with _verified.lock:
        # Another thread may have verified the secret while this one waited.
        if _verified.has(service, secret):
            return service
        with attempt:
            if not _get_hasher().verify(secret, service.secret_hash):
                _refuse(service, client)
            _verified.add(service, secret)
    return service


def _refuse(service: ServiceClient | None, client: Client) -> NoReturn:
    signals.service_client_refused.send_robust(sender=ServiceClient, service=service, client=client)
    raise ServiceClientRefused


@sensitive_variables()
def _has_hint(service: ServiceClient, secret: str) -> bool:
    """Whether this may be the client's secret: of 65,536 wrong ones, one may.

    Argon2 would let anyone who sends wrong secrets spend our processor. The ids of clients are as
    hard to guess as their secrets, so an answer without it tells nothing.
    """
    return hmac.compare_digest(service.secret_hint, _hint(secret))


@sensitive_variables()
def _hint(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()[:_HINT_LENGTH]


def _get_hasher() -> Argon2PasswordHasher:
    # Not one of PASSWORD_HASHERS, which are for the passwords of users and may change.
    if find_spec("argon2") is None:
        raise HasherMissing
    return Argon2PasswordHasher()


def _announce(service: ServiceClient, event: str) -> None:
    signals.service_client_changed.send_robust(sender=ServiceClient, service=service, event=event)
