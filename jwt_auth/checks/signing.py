"""The present signing key: whether it can sign, and is where JWT_AUTH_KEY_SIGNER would put it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured

from jwt_auth.check_messages import warning
from jwt_auth.conf import conf
from jwt_auth.exceptions import KeyFailure
from jwt_auth.keys.ring import RingKey
from jwt_auth.keys.signers.base import prepare_ring_key
from jwt_auth.keys.stores.base import get_key_store, load_ring

#: The message to sign. It can't become a token.
_MESSAGE: Final = b"manage.py check --deploy"


def check_signing() -> Iterator[CheckMessage]:
    """Have the present key sign, with the credentials of the user who runs the check (--deploy)."""
    try:
        key = load_ring(get_key_store()).signing_key(datetime.now(UTC))
    except (ImproperlyConfigured, KeyFailure):
        return  # reported by another check
    if key.signer is None:
        yield from _check_place(key)
        return
    try:
        prepare_ring_key(key).sign(_MESSAGE)
    except KeyFailure as failure:
        yield warning(
            "W050",
            f"The key {key.kid} can't sign now, so no token can be issued. {failure}",
            "Give the server's role kms:Sign for that key. See docs/how-to/sign-with-kms.md.",
        )


def _check_place(key: RingKey) -> Iterator[CheckMessage]:
    if conf.key_signer is not None:
        yield warning(
            "W051",
            f"The private part of the signing key {key.kid} is in the ring, not with the signer of "
            "JWT_AUTH_KEY_SIGNER.",
            "Run `manage.py rotate_keys`: the signer makes the next key.",
        )
