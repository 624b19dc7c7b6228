"""System checks: ``jwt_auth.E…`` is wrong and stops the start, ``W…`` is unwise.

Each message says what is wrong and why; each hint gives the line to write. ``settings`` judges
values, ``keys`` the key ring, ``views`` the URLconf, ``middleware`` the order of ``MIDDLEWARE``,
``database`` the tables, and ``deployment`` what is unwise in production (``check --deploy``).
The backends of ``JWT_AUTH_KEY_STORE`` and ``JWT_AUTH_REVOCATION`` check their options themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import indent

from django.core import checks
from django.core.checks import CheckMessage, Tags

from jwt_auth.checks.database import check_databases, check_deployed_databases
from jwt_auth.checks.deployment import check_deployment
from jwt_auth.checks.keys import check_keys, find_start_problem
from jwt_auth.checks.middleware import check_middleware
from jwt_auth.checks.settings import check_settings
from jwt_auth.checks.views import check_views

TAG = "jwt_auth"


def register() -> None:
    checks.register(check_settings, TAG)
    checks.register(check_keys, TAG)
    checks.register(check_views, TAG)
    checks.register(check_middleware, TAG)
    checks.register(check_databases, Tags.database)
    checks.register(check_deployment, TAG, deploy=True)
    checks.register(check_deployed_databases, TAG, deploy=True)


def start_problems(*, serving: bool) -> list[CheckMessage]:
    """The errors that stop a start. A server also needs its keys."""
    errors = [message for message in check_settings(None) if message.is_serious()]
    if serving and not errors and (problem := find_start_problem()) is not None:
        errors.append(problem)
    return errors


def explain(problems: Sequence[CheckMessage]) -> str:
    """List every problem in one text, with its id, its reason and the line to write."""
    lines = [f"jwt_auth can't start with {len(problems)} problem(s):"]
    for problem in problems:
        hint = f"HINT: {problem.hint}".replace("\n\t", "\n")
        lines += ["", f"{problem.id}: {problem.msg}", indent(hint, "    ")]
    return "\n".join(lines)
