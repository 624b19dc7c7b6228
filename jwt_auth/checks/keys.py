"""Whether there are keys to sign with, and in good keeping."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.checks import CheckMessage, Error, Warning  # noqa: A004  the framework's own name
from django.core.exceptions import ImproperlyConfigured

from jwt_auth.conf import conf
from jwt_auth.exceptions import KeyFailure
from jwt_auth.keys.stores.base import get_key_store


def find_key_problem() -> CheckMessage | None:
    """Say why no token could be signed now, or nothing."""
    if conf.jwks_url is not None:
        return None
    try:
        get_key_store().load().signing_key(datetime.now(UTC))
    except ImproperlyConfigured:
        return None  # a wrong setting, which the settings' own check names
    except KeyFailure as failure:
        return Error(
            str(failure),
            hint="Run the command that is named there as the user that the server runs as.",
            id="jwt_auth.E030",
        )
    return None


def check_keys(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Warn only: ``migrate``, ``generate_keys`` and a build without secrets must run before there
    are keys.
    """
    problem = find_key_problem()
    if problem is None:
        return []
    return [Warning(problem.msg, hint=problem.hint, id="jwt_auth.W030")]
