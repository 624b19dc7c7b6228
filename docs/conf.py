"""Sphinx's settings, and a check that the reference is complete."""

import re
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

import jwt_auth
from jwt_auth.documentation import ROOT

sys.path.insert(0, str(Path(__file__).parent))
import reference_anchors  # it stands beside this file, where Python doesn't look otherwise

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
html_static_path = ["_static"]
html_css_files = ["anchors.css", "phones.css"]

PAGE = Path(__file__).parent / "reference" / "endpoints.md"
ROUTES = Path(jwt_auth.__file__).parent / "urls" / "endpoints.py"


def require_all_endpoints(app: Sphinx) -> None:
    """Stop the build if an endpoint is missing from its page of the reference."""
    routes = re.findall(r'r"\^(.+?)/\?\$"', ROUTES.read_text())
    page = PAGE.read_text()
    missing = [name for route in routes if (name := re.sub(r"\(.*\)", "{id}", route)) not in page]
    if missing:
        raise ExtensionError(f"endpoints.md lacks {', '.join(missing)}")


def link_to_this_build(app: Sphinx, doctree: nodes.document) -> None:
    """Let the part of the README that the landing page includes lead to the pages of this build."""
    if app.env.docname == "index":
        for link in doctree.findall(nodes.reference):
            link["refuri"] = link.get("refuri", "").removeprefix(ROOT)


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", require_all_endpoints)
    app.connect("doctree-read", link_to_this_build)
    app.connect("doctree-read", reference_anchors.add_anchors)
    app.connect("doctree-resolved", reference_anchors.link_names)
    app.connect("build-finished", reference_anchors.require_anchors)
