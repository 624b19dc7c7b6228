"""What the README must keep to, because it is shown and pasted elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()


def test_shell_commands_have_no_comments() -> None:
    """A # would be an argument in an interactive zsh."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 3
    assert "#" not in "".join(blocks)


def test_links_are_absolute() -> None:
    """The package index shows the README without the files around it."""
    links = re.findall(r"\]\((.+?)\)", README)
    assert len(links) > 10
    assert [link for link in links if not link.startswith("https://")] == []
