"""Sphinx's settings."""

from importlib.metadata import version as installed_version

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
