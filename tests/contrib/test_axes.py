"""The answer to a login that django-axes has locked out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.jobs import ROOT
from tests.neighbours.packages import optional

optional("axes")

pytestmark = pytest.mark.example

#: In a process of its own, because axes has to be installed there as an app.
_ANSWER = """
import json, sys
from datetime import timedelta
import django
django.setup()
from django.conf import settings
from django.test import RequestFactory
from django.urls import resolve
from jwt_auth.contrib.axes import locked_out
path, minutes = json.loads(sys.argv[1])
settings.AXES_COOLOFF_TIME = minutes and timedelta(minutes=minutes)
request = RequestFactory().get(path)
request.resolver_match = resolve(path)
answer = locked_out(request, None, {})
print(json.dumps([answer.status_code, answer.content.decode(), dict(answer.headers)]))
"""


def answer_of(path: str, minutes: int | None) -> tuple[int, str, dict[str, Any]]:
    """Give status, body and headers of the answer to a login there, locked out for that long."""
    own = {"DJANGO_SETTINGS_MODULE": "tests.neighbours.settings", "DEBUG": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _ANSWER, json.dumps([path, minutes])],
        cwd=ROOT,
        env=os.environ | own,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    status, body, headers = json.loads(done.stdout)
    return status, body, headers


def test_endpoint_answers_in_the_form_of_all_errors() -> None:
    """It says for how long, and no cache keeps it."""
    status, body, headers = answer_of("/api/auth/login/", 3)
    assert (status, json.loads(body)["code"]) == (429, "locked_out")
    assert (headers["Retry-After"], headers["Cache-Control"]) == ("180", "no-store")


def test_lockout_without_an_end_names_no_time() -> None:
    """AXES_COOLOFF_TIME = None: only an operator opens the account again."""
    status, _, headers = answer_of("/api/auth/login/", None)
    assert status == 429
    assert "Retry-After" not in headers


def test_page_answers_with_axes_own_sentence() -> None:
    """A person at a form reads a sentence, not JSON."""
    status, body, headers = answer_of("/accounts/login/", 3)
    assert (status, body[:14]) == (429, "Account locked")
    assert headers["Content-Type"].startswith("text/html")
