"""The table of endpoints against the URLconfs and the documentation: nothing can be forgotten."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from jwt_auth.openapi.endpoints import ENDPOINTS
from tests.openapi.conftest import Describe

pytestmark = pytest.mark.smoke

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "endpoints.md"
MOUNTS = ("jwt_auth.urls", "jwt_auth.urls.body", "jwt_auth.urls.services")
METHODS = ("get", "post", "put", "patch", "delete")

#: What the page says once for all, or in prose, instead of in each row.
COMMON = {"413", "415", "503"}

#: With the access cookie (403), or where a setting turns the endpoint off (404).
ELSEWHERE = {"403", "404"}

#: `| POST \`login/\` | credential | success | failure |`, with or without a column.
ROW = re.compile(r"^\| (GET|POST|DELETE) `([^`]+)` \|(.*)\|$", re.MULTILINE)


def views_of(urlconf: str) -> list[tuple[str, Any]]:
    """Each path of a URLconf, with the view's class."""
    patterns = import_module(urlconf).urlpatterns
    return [(str(each.pattern), each.callback.cls) for each in patterns]


def test_every_endpoint_is_in_the_table() -> None:
    """A new one fails here until it is described; verify/ answers every method like GET."""
    found = {
        (view.route, method.upper())
        for urlconf in MOUNTS
        for _, view in views_of(urlconf)
        for method in METHODS
        if hasattr(view, method) and (view.route, method) != ("verify/", method)
    }
    documents = {(view.route, "GET") for _, view in views_of("jwt_auth.urls.well_known")}
    assert found | documents | {("verify/", "GET")} == set(ENDPOINTS)


def test_schema_has_one_clean_path_for_each_endpoint(describe: Describe) -> None:
    """With its slash, and without the regular expression of the optional one."""
    paths = describe()["paths"]
    routes = {
        f"{'/.well-known/' if route.startswith(('jwks', 'oauth')) else '/api/auth/'}{route}"
        for route, _ in ENDPOINTS
    }
    below = {path for path in paths if path.startswith(("/api/auth/", "/.well-known/"))}
    assert below == routes | {"/api/auth/sessions/{session_id}/"}
    assert not any("?" in path or "\\" in path for path in paths)


def test_page_lists_the_same_statuses(describe: Describe) -> None:
    """docs/reference/endpoints.md has a row for each operation, with what only it can answer."""
    paths = describe()["paths"]
    rows = {(method, path): row for method, path, row in ROW.findall(PAGE.read_text())}
    for path, operations in paths.items():
        if not path.startswith("/api/auth/"):
            continue
        for method, operation in operations.items():
            name = path.removeprefix("/api/auth/").replace("{session_id}", "{id}")
            row = rows[method.upper(), name]
            told = set(re.findall(r"\b([2-5]\d\d)\b", row))
            if "the same" in row:
                told |= set(re.findall(r"\b([2-5]\d\d)\b", rows["POST", "introspect/"]))
            described = set(operation["responses"])
            # A row says what its endpoint refuses for a reason of its own.
            assert told - COMMON - ELSEWHERE <= described, (name, told, described)
            assert described - COMMON - ELSEWHERE - {"200", "401"} <= told, (name, told, described)
