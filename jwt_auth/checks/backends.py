"""The backends: whether each can be built and used."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib.util import find_spec
from typing import Final

from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured

from jwt_auth.cache_locations import check_locations
from jwt_auth.check_messages import FILE_STORE, error, setting_error, setting_line, warning
from jwt_auth.conf import NO_REVOCATION, conf
from jwt_auth.keys.signers.base import find_key_signer
from jwt_auth.keys.stores.base import get_key_store
from jwt_auth.models import RefreshTokenFamily, write_database
from jwt_auth.revocation.base import get_backend
from jwt_auth.revocation.stateless import NoRevocation

#: The longest that an access token may stay usable after its user has logged out.
_LONGEST_WITHOUT_REVOCATION: Final = timedelta(minutes=15)


def check_key_store() -> Iterator[CheckMessage]:
    if conf.jwks_url is not None:
        return
    if reason := _refusal(get_key_store):
        yield error("E016", reason, setting_line("KEY_STORE", FILE_STORE))
        return
    yield from get_key_store().check()


def check_revocation() -> Iterator[CheckMessage]:
    if reason := _refusal(get_backend):
        yield error("E020", reason, setting_line("REVOCATION"))
        return
    backend = get_backend()
    yield from backend.check()
    lifetime = conf.access_token_lifetime
    if (
        isinstance(backend, NoRevocation)
        and conf.jwks_url is None  # otherwise the issuer's setting counts
        and isinstance(lifetime, timedelta)
        and lifetime > _LONGEST_WITHOUT_REVOCATION
    ):
        yield warning(
            "W005",
            "The backend of JWT_AUTH_REVOCATION revokes no access token: after a logout, it can be "
            "used until it expires, here for more than 15 minutes.",
            setting_line("ACCESS_TOKEN_LIFETIME"),
        )


def check_verify_only_revocation() -> Iterator[CheckMessage]:
    """Have a service that only verifies tokens say whether it accepts revoked ones."""
    if conf.revocation is NO_REVOCATION:
        yield warning(
            "W086",
            "JWT_AUTH_REVOCATION is not set. With JWT_AUTH_JWKS_URL this means that the service "
            "doesn't learn of a logout: it accepts each access token until it expires.",
            f"{setting_line('REVOCATION', json.dumps(NO_REVOCATION))} to accept this.",
        )


def check_cache_location() -> Iterator[CheckMessage]:
    """Check the cache of the throttles; the revocation backend may use it as well."""
    yield from check_locations("default")


def check_signer() -> Iterator[CheckMessage]:
    if reason := _refusal(find_key_signer):
        line = '{"BACKEND": "jwt_auth.keys.signers.aws.AWSKMSSigner"}'
        yield error("E050", reason, setting_line("KEY_SIGNER", line))
        return
    signer = find_key_signer()
    if signer is not None and conf.algorithm not in signer.algorithms:
        yield setting_error(
            "E051",
            "ALGORITHM",
            f"is not one that {signer.name}, the signer of JWT_AUTH_KEY_SIGNER, has keys for.",
            f'"{min(signer.algorithms)}"',
        )


def _refusal(build: Callable[[], object]) -> str:
    """Say why a backend can't be built, in the words that the first request would raise."""
    try:
        build()
    except ImproperlyConfigured as refused:
        return str(refused)
    return ""


def check_local_user() -> Iterator[CheckMessage]:
    """Warn of a callable that nothing calls."""
    if conf.local_user is not None and not _refusal(get_backend) and not get_backend().maps_users:
        yield warning(
            "W085",
            "JWT_AUTH_LOCAL_USER has no effect: the backend of JWT_AUTH_REVOCATION finds each user "
            "in this service's own database, by the sub claim.",
            setting_line("LOCAL_USER"),
        )


def check_device_names() -> Iterator[CheckMessage]:
    """Warn of comparisons that a browser's next version looks new to."""
    if conf.new_device_hook is not None and find_spec("ua_parser") is None:
        yield warning(
            "W111",
            "JWT_AUTH_NEW_DEVICE_HOOK compares whole user agents, because ua-parser is not "
            "installed: each update of a browser looks like a new device.",
            'Run `python -m pip install "django-jwt-sessions[devices]"`',
        )


def check_databases() -> Iterator[CheckMessage]:
    """Sessions refer to users, and one statement or transaction reads and locks both."""
    user_model = get_user_model()
    users, sessions = write_database(user_model), write_database(RefreshTokenFamily)
    if users == sessions:
        return
    label = user_model._meta.app_label
    yield error(
        "E076",
        f"DATABASE_ROUTERS sends the users (app {label}) to the database {users!r} and the "
        f"sessions of jwt_auth to {sessions!r}. Both must be in the same database.",
        "Have the router that names the app of the users name jwt_auth as well: "
        f'Write route_app_labels = {{"{label}", "contenttypes", "jwt_auth"}}',
    )
