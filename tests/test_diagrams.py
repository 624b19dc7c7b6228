"""The diagrams of the documentation: they run nothing, and every name in them exists."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

import pytest
from django.conf import global_settings
from django.core.management import load_command_class
from django.urls import resolve
from rest_framework.settings import DEFAULTS as REST_FRAMEWORK
from rest_framework.views import APIView

from jwt_auth import conf, exceptions
from jwt_auth.exceptions import JWTAuthError

DOCS: Final = Path(__file__).resolve().parents[1] / "docs"
DIAGRAMS: Final = sorted((DOCS / "diagrams").iterdir())
SVG: Final = "{http://www.w3.org/2000/svg}"

#: None of them loads or runs anything.
ELEMENTS: Final = re.compile("svg|title|desc|style|marker|rect|circle|path|g|text|tspan")

for_each_diagram = pytest.mark.parametrize("path", DIAGRAMS, ids=lambda path: path.stem)


def text_of(path: Path) -> str:
    """All text of the diagram, with its title and description."""
    return "\n".join(ET.parse(path).getroot().itertext())


def code_of(path: Path) -> list[str]:
    """What the diagram shows in the font of code."""
    elements = ET.parse(path).getroot().iter()
    return [str(part.text) for part in elements if "code" in part.get("class", "").split()]


CODE: Final = [code for path in DIAGRAMS for code in code_of(path)]
TEXT: Final = "".join(map(text_of, DIAGRAMS))


@for_each_diagram
def test_diagram_has_a_title_and_a_description(path: Path) -> None:
    """A screen reader reads them when the file is opened."""
    root = ET.parse(path).getroot()
    named = {
        part.get("id"): part.text for part in root if part.tag in {f"{SVG}title", f"{SVG}desc"}
    }
    assert root.get("aria-labelledby", "").split() == list(named)
    assert all(len((text or "").strip()) > 20 for text in named.values())


@for_each_diagram
def test_diagram_loads_and_runs_nothing(path: Path) -> None:
    """No script, no font, no image: it is shown on pages about security."""
    elements = list(ET.parse(path).getroot().iter())
    assert all(ELEMENTS.fullmatch(part.tag.removeprefix(SVG)) for part in elements)
    assert [name for part in elements for name in part.attrib if re.match("on|.*href", name)] == []
    text = path.read_text()
    assert re.findall(r"url\((?!#)|@import|<!(?!--)|<\?", text) == []
    assert len(text.encode()) < 15_000


@for_each_diagram
def test_diagram_is_shown_by_a_page(path: Path) -> None:
    """With a text for readers that don't see it."""
    image = re.compile(
        rf"^!\[[^\]]{{60,}}\]\(\.\./diagrams/{re.escape(path.name)}\)$", re.MULTILINE
    )
    assert sum(len(image.findall(page.read_text())) for page in DOCS.rglob("*.md")) == 1


def test_diagrams_share_one_style() -> None:
    """The light and the dark colours of all are the same."""
    styles = {ET.parse(path).getroot().findtext(f"{SVG}style") for path in DIAGRAMS}
    assert len(styles) == 1


def test_settings_in_diagrams_exist() -> None:
    """Ours, Django's and REST framework's."""
    named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", TEXT))
    assert len(named) > 5
    assert named <= {*conf.NAMES, *dir(global_settings), *REST_FRAMEWORK}


def test_errors_and_commands_in_diagrams_exist() -> None:
    """A word with an underscore is a code of an error, a command, or an attribute of a view."""
    named = set(re.findall(r"(?<![\w-])[a-z]+(?:_[a-z]+)+", TEXT))
    codes = {
        error.code
        for error in vars(exceptions).values()
        if isinstance(error, type) and issubclass(error, JWTAuthError)
    }
    assert {"invalid_token", "rotate_keys"} < named
    assert named <= codes | {"jwt_auth", "rotate_keys"} | set(dir(APIView))


def test_options_in_diagrams_exist() -> None:
    """The command would refuse any other."""
    command = load_command_class("jwt_auth", "rotate_keys")
    lines = [code.split()[1:] for code in CODE if code.startswith("rotate_keys")]
    assert len(lines) > 2
    for options in lines:
        command.create_parser("manage.py", "rotate_keys").parse_args(options)


def test_endpoints_in_diagrams_exist() -> None:
    """Where the tests mount them, as the documentation does."""
    mounted = [f"/api/auth/{code.split()[1]}" for code in CODE if code.startswith("POST ")]
    assert {"/api/auth/login/", "/api/auth/refresh/"} == set(mounted)
    for address in [*mounted, *(code for code in CODE if code.startswith("/.well-known/"))]:
        resolve(address)


def test_times_in_the_life_of_a_key_are_the_defaults() -> None:
    """In the order in which the diagram names them."""
    root = ET.parse(DOCS / "diagrams" / "key-life.svg").getroot()
    lines = ["".join(line.itertext()) for line in root.iter(f"{SVG}text")]
    times = re.findall(r"(\d+) (day|hour|minute|second)", " ".join(lines))
    assert [timedelta(**{f"{unit}s": int(number)}) for number, unit in times] == [
        conf.DEFAULTS["KEY_ROTATION_INTERVAL"],
        conf.DEFAULTS["KEY_PUBLISH_AHEAD"],
        conf.MAX_ACCESS_TOKEN_LIFETIME,
        conf.CLOCK_DIFFERENCE,
        conf.DEFAULTS["KEY_RELOAD_INTERVAL"],
        conf.JWKS_MAX_AGE,
    ]


def test_cookie_in_diagrams_has_the_default_name() -> None:
    """Its prefix is that of a cookie with a path."""
    assert [code for code in CODE if "refresh_token" in code and "Cookie" in code] == [
        f"Cookie: {conf.conf.refresh_cookie_name}"
    ]
