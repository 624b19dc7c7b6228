"""The key store, the revocation backend and the project's callables: whether each can be used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from jwt_auth.cache_locations import check_locations
from jwt_auth.checks import messages
from jwt_auth.conf import conf
from jwt_auth.keys.signers.base import find_key_signer
from jwt_auth.keys.stores.base import get_key_store
from jwt_auth.models import RefreshTokenFamily, write_database
from jwt_auth.revocation.base import get_backend
from jwt_auth.revocation.stateless import NoRevocation


def check_backends() -> Iterator[CheckMessage]:
    if conf.jwks_url is None:
        yield from _check_key_store()
    problems = list(
        _check_backend(
            "E020",
            "REVOCATION",
            get_backend,
            '{"BACKEND": "jwt_auth.revocation.database.DatabaseRevocation"}',
        )
    )
    if not problems:
        problems += get_backend().check()
    # The throttles' cache, which may be the backend's, too.
    problems += [each for each in check_locations("default") if each not in problems]
    yield from problems
    if any(problem.id == "jwt_auth.E020" for problem in problems):
        return
    if not isinstance(get_backend(), NoRevocation):
        return
    lifetime = conf.access_token_lifetime
    if isinstance(lifetime, timedelta) and lifetime > timedelta(minutes=15):
        yield messages.warning(
            "W005",
            "JWT_AUTH_REVOCATION lets access tokens live to their end, over 15 minutes.",
            "Write JWT_AUTH_ACCESS_TOKEN_LIFETIME = timedelta(minutes=15)",
        )


def _check_key_store() -> Iterator[CheckMessage]:
    problems = list(
        _check_backend(
            "E016",
            "KEY_STORE",
            get_key_store,
            '{"BACKEND": "jwt_auth.keys.stores.file.FileKeyStore", '
            '"OPTIONS": {"PATH": "/etc/example/keys"}}',
        )
    )
    yield from problems or get_key_store().check()


def _check_backend(
    number: str, setting: str, build: Callable[[], object], line: str
) -> Iterator[CheckMessage]:
    try:
        build()
    except ImproperlyConfigured as error:
        hint = f"Write JWT_AUTH_{setting} = {line}"
        yield Error(str(error), hint=hint, id=f"jwt_auth.{number}")


def check_signer() -> Iterator[CheckMessage]:
    if conf.key_signer is None:
        return
    line = '{"BACKEND": "jwt_auth.keys.signers.aws.AWSKMSSigner"}'
    problems = list(_check_backend("E050", "KEY_SIGNER", find_key_signer, line))
    yield from problems
    if problems:
        return
    signer = find_key_signer()
    if signer is not None and conf.algorithm not in signer.algorithms:
        yield messages.error(
            "E051",
            "ALGORITHM",
            f"is one that {signer.name} has no keys for, and JWT_AUTH_KEY_SIGNER names that.",
            f'"{min(signer.algorithms)}"',
        )


def check_callables() -> Iterator[CheckMessage]:
    for number, setting, path, argument, line in (
        ("E021", "CLAIMS", conf.claims, "takes the user", "example.accounts.claims_of"),
        ("E022", "ROLES", conf.roles, "takes the user", "example.accounts.roles_of"),
        ("E075", "TENANT", conf.tenant, "takes nothing", "example.tenants.name_of_tenant"),
    ):
        if path is None:
            continue
        try:
            found = import_string(path)
        except (ImportError, AttributeError, TypeError, ValueError):
            found = None
        if not callable(found):
            yield messages.error(
                number,
                setting,
                f"must be the dotted path of a callable that {argument}, or None.",
                f'"{line}"',
            )


def check_databases() -> Iterator[CheckMessage]:
    """Sessions refer to users, and both are read and locked in one statement or transaction."""
    user_model = get_user_model()
    users, sessions = write_database(user_model), write_database(RefreshTokenFamily)
    if users == sessions:
        return
    label = user_model._meta.app_label
    yield Error(
        f"DATABASE_ROUTERS sends users ({label}) to the database {users!r} and jwt_auth's sessions "
        f"to {sessions!r}: they have to be in one.",
        hint=(
            "Have the router that names the app of the users name jwt_auth, too: "
            f'Write route_app_labels = {{"{label}", "contenttypes", "jwt_auth"}}'
        ),
        id="jwt_auth.E076",
    )
