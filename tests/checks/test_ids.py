"""The ids of the checks: each stands for one fault, and for one row of the documentation."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import jwt_auth

PACKAGE = Path(jwt_auth.__file__).parent
STORES = PACKAGE / "keys" / "stores"
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "checks.md"

#: As a check gives it, and as `SILENCED_SYSTEM_CHECKS` has it.
ID = re.compile(r"(?:jwt_auth\.)?([EW][01]\d\d)")


def ids_of(module: Path) -> list[str]:
    """Those that the module gives to a fault; one that is compared with is another module's."""
    nodes = list(ast.walk(ast.parse(module.read_text())))
    compared = {
        id(part) for node in nodes if isinstance(node, ast.Compare) for part in ast.walk(node)
    }
    texts = [
        node.value
        for node in nodes
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in compared
    ]
    return [match[1] for text in texts if (match := ID.fullmatch(text))]


def repeated(names: list[str]) -> list[str]:
    return [name for name, number in Counter(names).items() if number > 1]


def test_id_stands_for_one_fault() -> None:
    """Whoever silences a check must not silence another one with it.

    The key stores judge the same options, each in its own words: there it is once in a module.
    """
    stores = [ids_of(path) for path in STORES.glob("*.py")]
    others = [ids_of(path) for path in PACKAGE.rglob("*.py") if path.parent != STORES]
    assert [found for found in map(repeated, stores) if found] == []
    of_stores = {name for names in stores for name in names}
    assert repeated([*of_stores, *(name for names in others for name in names)]) == []


def test_messages_are_built_in_one_place() -> None:
    """So that each has an id, a reason and a hint."""
    builders = {"Error", "Warning", "Info", "Debug", "Critical"}
    found = {
        path.name
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "django.core.checks"
        if builders & {name.name for name in node.names}
    }
    assert found == {"check_messages.py"}


def test_id_has_one_row_in_the_documentation() -> None:
    """And no row is left of a check that is gone."""
    rows = [line.split("|")[1] for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    documented = [name for row in rows for name in re.findall(r"[EW][01]\d\d", row)]
    assert repeated(documented) == []
    assert set(documented) == {name for path in PACKAGE.rglob("*.py") for name in ids_of(path)}
