"""What the documents must keep to, because they are shown and pasted elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(page for page in ROOT.glob("docs/**/*.md") if "_build" not in page.parts),
    ]
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_shell_commands_have_no_comments(page: Path) -> None:
    """A # would be an argument in an interactive zsh, the shell of macOS."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```$", page.read_text(), re.MULTILINE | re.DOTALL)
    assert [line for line in "".join(blocks).splitlines() if re.search(r"(^|\s)#", line)] == []


def test_links_of_the_readme_are_absolute() -> None:
    """The package index shows the README without the files around it."""
    links = re.findall(r"\]\((.+?)\)", (ROOT / "README.md").read_text())
    assert len(links) > 10
    assert [link for link in links if not link.startswith("https://")] == []
