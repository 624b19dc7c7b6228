"""Settings that work but are unwise in production (``manage.py check --deploy``)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.utils.encoding import force_bytes

from jwt_auth.check_messages import FILE_STORE, setting_line, warning
from jwt_auth.checks.keys import find_key_problem
from jwt_auth.checks.mail import check_mail_deployment
from jwt_auth.checks.settings import check_settings
from jwt_auth.checks.signing import check_signing
from jwt_auth.checks.views import mounted_views
from jwt_auth.conf import conf
from jwt_auth.encoding import base64url_encode
from jwt_auth.exceptions import KeyFailure
from jwt_auth.keys.ring import UNKNOWN_AGE, KeyRing
from jwt_auth.keys.stores.base import get_key_store, load_ring
from jwt_auth.keys.stores.file import FileKeyStore
from jwt_auth.revocation.base import get_backend

_MISCOUNTS: Final = "miscounts simultaneous attempts"

#: Why a cache can't count attempts. The caches in the database and in files read a number and then
#: write the next one, so two requests at once can write the same number.
_UNFIT_CACHES: Final = {
    "django.core.cache.backends.locmem.LocMemCache": "is separate in each process",
    "django.core.cache.backends.dummy.DummyCache": "stores nothing",
    "django.core.cache.backends.db.DatabaseCache": _MISCOUNTS,
    "django.core.cache.backends.filebased.FileBasedCache": _MISCOUNTS,
}


def check_deployment(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    if any(message.is_serious() for message in check_settings(None)):
        return []  # reported there; a wrong value can't be judged further
    problem = find_key_problem()
    messages: list[CheckMessage] = [] if problem is None else [problem]
    for check in (
        _check_transport,
        _check_keys,
        check_signing,
        _check_revocation,
        _check_throttles,
        _check_views,
        check_mail_deployment,
    ):
        messages += check()
    return messages


def _check_transport() -> Iterator[CheckMessage]:
    if settings.DEBUG:
        yield warning(
            "W014",
            "DEBUG is on: error pages show strangers code and settings.",
            "Write DEBUG = False",
        )
    if not settings.SECURE_SSL_REDIRECT and settings.SECURE_PROXY_SSL_HEADER is None:
        yield warning(
            "W010",
            "Neither redirect nor proxy setting keeps tokens from travelling over plain HTTP.",
            "Write SECURE_SSL_REDIRECT = True, or SECURE_PROXY_SSL_HEADER behind a TLS proxy.",
        )
    if not conf.refresh_cookie_secure:
        yield warning(
            "W011",
            "Browsers send the refresh cookie over plain HTTP as well.",
            setting_line("REFRESH_COOKIE_SECURE"),
        )


def _check_keys() -> Iterator[CheckMessage]:
    now = datetime.now(UTC)
    try:
        store = get_key_store()
        ring = load_ring(store)
        signing_key = None if ring.is_verify_only else ring.signing_key(now)
    except (ImproperlyConfigured, KeyFailure):
        return  # reported by another check
    yield from store.check_server()
    if signing_key is None:
        return
    if isinstance(store, FileKeyStore) and _is_inside_code(Path(store.describe())):
        yield warning(
            "W012",
            f"The private keys are inside the code folder ({store.describe()}): images and "
            "archives of the code will contain them.",
            setting_line("KEY_STORE", FILE_STORE),
        )
    since = signing_key.activates_at
    overdue = since != UNKNOWN_AGE and now - since > conf.key_rotation_interval
    if overdue and ring.find_waiting(now) is None:
        yield warning(
            "W013",
            f"The key {signing_key.kid} has signed for longer than JWT_AUTH_KEY_ROTATION_INTERVAL.",
            "Run `manage.py rotate_keys`, and `manage.py rotate_keys --if-due` from cron.",
        )
    if _has_secret_key(ring):
        yield warning(
            "W015",
            "A JWT secret is equal to SECRET_KEY: any service that verifies tokens can also sign "
            "cookies.",
            "Run `manage.py rotate_keys --compromised KID` with its kid.",
        )


def _check_revocation() -> Iterator[CheckMessage]:
    yield from get_backend().check_server()


def _check_throttles() -> Iterator[CheckMessage]:
    if conf.jwks_url is not None:
        return  # no one logs in here
    reason = _UNFIT_CACHES.get(settings.CACHES["default"]["BACKEND"])
    if reason is not None:
        yield warning(
            "W016",
            f"The default cache {reason}: throttles let more attempts pass than their rates say.",
            'Write CACHES = {"default": {"BACKEND": "django_redis.cache.RedisCache", '
            '"LOCATION": "redis://…"}}',
        )


def _check_views() -> Iterator[CheckMessage]:
    """Login, refresh and logout must accept requests with a stale Authorization header."""
    for view in mounted_views() or ():
        if getattr(view.cls, "authenticates_itself", False) and view.authentication_classes:
            yield warning(
                "W017",
                f"The endpoint {view.route} has authentication_classes, which answer 401 to a "
                "stale Authorization header: a client with an expired token can't log in.",
                "Write authentication_classes = () in that view.",
            )


def _is_inside_code(path: Path) -> bool:
    # settings.configure() leaves the name empty.
    name = settings.SETTINGS_MODULE or os.environ.get("DJANGO_SETTINGS_MODULE", "")
    module = sys.modules.get(name.partition(".")[0])
    if module is None or not getattr(module, "__file__", None):
        return False
    folder = Path(str(module.__file__)).resolve().parent
    project = folder.parent if hasattr(module, "__path__") else folder
    return path.resolve().is_relative_to(project)


def _has_secret_key(ring: KeyRing) -> bool:
    secrets = {
        base64url_encode(force_bytes(key))
        for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    }
    return any(key.jwk.get("k") in secrets for key in ring.keys)
