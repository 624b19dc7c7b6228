"""Sphinx's settings, and a check that the reference is complete."""

import re
from importlib.metadata import version as installed_version
from pathlib import Path

from django.dispatch import Signal
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from jwt_auth import conf as jwt_auth_conf
from jwt_auth import signals
from jwt_auth.exceptions import Refusal

project = "jwt_auth"
author = "jwt_auth contributors"
copyright = author
release = installed_version("django-jwt-sessions")
version = release

extensions = ["myst_parser"]
exclude_patterns = ["_build", "decisions/template.md"]
source_suffix = {".md": "markdown"}

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"jwt_auth {release}"

REFERENCE = Path(__file__).parent / "reference"
PACKAGE = Path(jwt_auth_conf.__file__).parent


def require_complete_reference(app: Sphinx) -> None:
    """Stop the build if a public name is missing from its page of the reference."""
    sources = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    endpoints = (PACKAGE / "urls" / "endpoints.py").read_text()
    names = {
        "settings.md": jwt_auth_conf.NAMES,
        "checks.md": set(re.findall(r'"(?:jwt_auth\.)?([EW]0\d\d)"', sources)),
        "access-token.md": {f"`{reason}`" for reason in Refusal},
        "signals-and-log.md": {
            f"`{name}`" for name, value in vars(signals).items() if isinstance(value, Signal)
        },
        "commands.md": {
            path.stem for path in (PACKAGE / "management" / "commands").glob("[a-z]*.py")
        },
        "endpoints.md": {
            re.sub(r"\(.*\)", "{id}", route) for route in re.findall(r'r"\^(.+?)/\?\$"', endpoints)
        },
    }
    missing = [
        f"{page} lacks {name}"
        for page, expected in names.items()
        for name in sorted(expected)
        if name not in (REFERENCE / page).read_text()
    ]
    if missing:
        raise ExtensionError("; ".join(missing))


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", require_complete_reference)
