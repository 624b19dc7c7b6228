"""Count the turns of phrase that make a reader stop, in docstrings, comments, texts and Markdown.

``python .ci/prose.py PATH…`` fails if one of the paths has more than 1.5 of them per 1,000 words,
and lists where they are and what to write instead. A single one is no error: the subject of a
sentence may well be "nobody". Many in a row are a page that has to be read twice.
"""

from __future__ import annotations

import ast
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final

#: Per 1,000 words.
LIMIT: Final = 1.5

#: A string with fewer words is a name or a value.
_FEWEST_WORDS: Final = 4

_SKIPPED: Final = frozenset({"_build", "migrations", "node_modules"})

#: What stands there, and what to write instead.
_TURNS: Final = {
    r"\bwho(?:ever|m|mever)\b": "say who it is",
    r"(?:^|[.:;] )Who (?!is |are |was )[a-z]+": "say who it is",
    r"\b(?:no|some|every|any)body\b": "say who it is",
    r"(?:^|[.:;] )What (?![^?]*\?)[a-z]+": "begin with the thing itself",
    r"\b(?:is|are|was|were|be) (?:none\b|no [a-z]+)": "is not a …, there is no …",
    r"(?:[,;:.] |^)[Ee]lse,? (?!if\b)[a-z]": "otherwise",
    r"(?:^|[.;] )Where (?:it|they|there|that|this|an?|the|no|nothing|one)\b": "if, when",
    r"(?:, where|\bonly where) (?:it|they|there|that|this|no|nothing|one)\b": "if, when",
    r"\bof (?:its|their|his|her|one's|my|your|our) own\b": "its own …, a separate …",
    r"\bof (?:ours|yours|theirs|mine)\b": "our …, your …",
    r"\b(?:is|are|was|were) over\b": "has ended, has expired",
    r"\bcounts? at once\b": "takes effect immediately",
    r"\b(?:is|are) at it\b|\bgets? at\b|\bgoes? on (?:with|and)\b": "say what it does",
    r"\bbesides?\b": "while …, next to …, in addition",
}
_PATTERNS: Final = {re.compile(pattern): advice for pattern, advice in _TURNS.items()}


def main(roots: list[str]) -> int:
    failed = False
    for root in map(Path, roots):
        words, found = _read(root)
        rate = 1000 * len(found) / max(words, 1)
        print(f"{root}: {rate:.1f} per 1,000 words ({len(found)} in {words}).")
        if rate > LIMIT:
            failed = True
            print("\n".join(found))
    return int(failed)


def _read(root: Path) -> tuple[int, list[str]]:
    words, found = 0, []
    for path in _files(root):
        read = _markdown if path.suffix == ".md" else _python
        for number, text in read(path):
            words += len(text.split())
            found += [
                f"{path}:{number}: {match[0].strip()!r}: {advice}"
                for pattern, advice in _PATTERNS.items()
                for match in pattern.finditer(text)
            ]
    return words, found


def _files(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    for path in sorted(root.rglob("*")):
        if path.suffix in {".py", ".md"} and not _SKIPPED & set(path.parts):
            yield path


def _python(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Constant(value=str(text)) if len(text.split()) >= _FEWEST_WORDS:
                for number, line in enumerate(text.splitlines(), node.lineno):
                    yield number, line.strip()
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string.lstrip("#: ")


def _markdown(path: Path) -> Iterator[tuple[int, str]]:
    is_code = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.lstrip().startswith("```"):
            is_code = not is_code
        elif not is_code:
            yield number, re.sub(r"`[^`]*`", "X", line).strip("|#>- ")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
