"""Whether the key that signs now does, and is where the settings would make the next one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured

from jwt_auth.checks import messages
from jwt_auth.conf import conf
from jwt_auth.exceptions import KeyFailure
from jwt_auth.keys.ring import RingKey
from jwt_auth.keys.signers.base import prepare_ring_key
from jwt_auth.keys.stores.base import get_key_store, load_ring

#: What the signer is given to sign: no token, and nothing that could become one.
_MESSAGE: Final = b"manage.py check --deploy"


def check_signing() -> Iterator[CheckMessage]:
    """Have the key that signs now sign; the server's user and its credentials do it (--deploy)."""
    try:
        key = load_ring(get_key_store()).signing_key(datetime.now(UTC))
    except (ImproperlyConfigured, KeyFailure):
        return  # named by another check
    if key.signer is None:
        yield from _check_place(key)
        return
    try:
        prepare_ring_key(key).sign(_MESSAGE)
    except KeyFailure as failure:
        yield messages.warning(
            "W050",
            f"No token can be signed with key {key.kid} now. {failure}",
            "See docs/how-to/sign-with-kms.md: the server's role needs kms:Sign for that key.",
        )


def _check_place(key: RingKey) -> Iterator[CheckMessage]:
    if conf.key_signer is not None:
        yield messages.warning(
            "W051",
            f"The key {key.kid}, which signs, is in the ring and not with JWT_AUTH_KEY_SIGNER.",
            "Run `manage.py rotate_keys`: the next key is made there.",
        )
