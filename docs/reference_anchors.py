"""Give each row of the reference's tables an anchor, and link names on all pages to their rows.

The Markdown stays a plain table. The row of ``JWT_AUTH_ISSUER`` gets the address
``settings.html#jwt-auth-issuer``, that of ``E001`` ``checks.html#e001``, and that of
``invalid_token`` ``errors.html#invalid-token``. The package's messages contain such addresses, so
the build fails if a name of the code has no anchor, or if two rows have the same.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from django.dispatch import Signal
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from jwt_auth import conf, exceptions, signals

PACKAGE = Path(conf.__file__).parent
SOURCES = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))

SETTINGS = frozenset(conf.NAMES)
CHECKS = frozenset(re.findall(r'"(?:jwt_auth\.)?([EW]0\d\d)"', SOURCES))
ERRORS = frozenset(
    [value.code for value in vars(exceptions).values() if hasattr(value, "code")]
    + re.findall(r'(?:default_code = |"code": )"([a-z_]+)"', SOURCES)
) - {exceptions.JWTAuthError.code}

#: For each page: the names of the code that need an anchor on it.
EXPECTED = {
    "reference/settings": SETTINGS,
    "reference/checks": CHECKS,
    "reference/errors": ERRORS,
    "reference/access-token": frozenset(exceptions.Refusal),
    "reference/signals-and-log": frozenset(
        name for name, value in vars(signals).items() if isinstance(value, Signal)
    ),
    "reference/commands": frozenset(
        path.stem for path in (PACKAGE / "management" / "commands").glob("[a-z]*.py")
    ),
}

#: For each page: the titles of the columns with the names, and what their anchors begin with.
COLUMNS = {
    "reference/settings": {"setting": ""},
    "reference/checks": {"id": ""},
    "reference/errors": {"code": ""},
    "reference/access-token": {"reason": ""},
    # Most events are named like their signal.
    "reference/signals-and-log": {"signal": "", "event": "event-"},
}

NAME = re.compile(r"JWT_AUTH_[A-Z_]+|[a-z]+(?:_[a-z]+)*")
CHECK_ID = re.compile(r"\b([EW]0\d\d)\b")
NOT_PROSE = (nodes.literal, nodes.literal_block, nodes.raw, nodes.reference, nodes.title)


def anchor_of(name: str) -> str:
    return name.lower().replace("_", "-")


def add_anchors(app: Sphinx, doctree: nodes.document) -> None:
    """Give the rows of the tables, and the sections about commands, their anchors."""
    page = app.env.docname
    for cell, prefix in _cells(doctree, COLUMNS.get(page, {})):
        names = [node for node in cell.findall(nodes.literal) if NAME.fullmatch(node.astext())]
        names += _replace_check_ids(cell, lambda name: nodes.inline(name, name))
        anchors = [
            _register(app, doctree, node, prefix + anchor_of(node.astext())) for node in names
        ]
        for anchor in anchors[:1]:
            cell[0] += nodes.reference(
                "", "¶", refid=anchor, classes=["headerlink"], reftitle="Link to this row"
            )
    if page == "reference/commands":
        for section in doctree.findall(nodes.section):
            name = section[0].astext().split()[0]
            # A heading without options has the anchor already.
            if name in EXPECTED[page] and anchor_of(name) not in section["ids"]:
                _register(app, doctree, section, anchor_of(name))


def link_names(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Link each setting and each check id to its row."""

    def link(name: str, target: str, *content: nodes.Node) -> nodes.reference:
        address = f"{app.builder.get_relative_uri(page, target)}#{anchor_of(name)}"
        return nodes.reference("", "", *content, refuri=address, internal=True)

    def link_check(name: str) -> nodes.Node:
        if name not in CHECKS:  # the changelog names checks that are gone
            return nodes.Text(name)
        return link(name, "reference/checks", nodes.inline(name, name))

    for literal in list(doctree.findall(nodes.literal)):
        # The page of the checks leaves the prefix out.
        prefix = conf.PREFIX if page == "reference/checks" else ""
        name = prefix + literal.astext()
        if name in SETTINGS and _is_prose(literal):
            literal.replace_self(link(name, "reference/settings", literal.deepcopy()))
    _replace_check_ids(doctree, link_check)


def require_anchors(app: Sphinx, exception: Exception | None) -> None:
    """Stop the build if the HTML lacks an anchor."""
    if exception is not None or app.builder.format != "html":
        return
    missing = [
        f"{page} lacks the anchor {anchor_of(name)}"
        for page, names in EXPECTED.items()
        for html in [Path(app.builder.get_outfilename(page)).read_text()]
        for name in sorted(names)
        if f'id="{anchor_of(name)}"' not in html
    ]
    if missing:
        raise ExtensionError("; ".join(missing))


def _cells(doctree: nodes.document, columns: dict[str, str]) -> Iterator[tuple[nodes.entry, str]]:
    for table in doctree.findall(nodes.tgroup):
        head, body = table[-2:]
        titles = [title.astext() for title in head[0]]
        for title in columns.keys() & set(titles):
            for row in body:
                yield row[titles.index(title)], columns[title]


def _register(app: Sphinx, doctree: nodes.document, node: nodes.Element, anchor: str) -> str:
    page = app.env.docname
    if anchor in doctree.ids:
        raise ExtensionError(f"{page} has two places with the anchor {anchor}")
    doctree.ids[anchor] = node
    node["ids"].append(anchor)
    # There MyST looks for the target of a link such as [E001](checks.md#e001).
    app.env.metadata[page].setdefault("myst_slugs", {})[anchor] = (node.line, anchor, node.astext())
    return anchor


def _replace_check_ids(root: nodes.Element, make: Callable[[str], nodes.Node]) -> list[nodes.Node]:
    """Replace each check id in the prose below the element by what ``make`` makes of it."""
    made = []
    for text in [text for text in root.findall(nodes.Text) if _is_prose(text)]:
        parts: list[nodes.Node] = []
        for number, part in enumerate(CHECK_ID.split(text)):
            parts.append(make(part) if number % 2 else nodes.Text(part))
        if len(parts) > 1:
            made += parts[1::2]
            text.parent.replace(text, [part for part in parts if part.astext()])
    return made


def _is_prose(node: nodes.Node) -> bool:
    """Whether the node is neither code nor part of a heading, a link or an anchor."""
    while node.parent is not None:
        if isinstance(node, nodes.inline | nodes.literal) and node["ids"]:
            return False
        node = node.parent
        if isinstance(node, NOT_PROSE):
            return False
    return True
