"""Extract the texts of the package into its catalogs and compile them: `python -m tests.messages`.

This is `makemessages` and `compilemessages` without GNU gettext, which not every machine has. New
texts are left empty in the .po files, for a translator; a test fails until they are translated.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

from babel.messages import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir, extract_python
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGE: Final = ROOT / "jwt_auth"

#: The names of the folders. Django's names of the languages are "de", …, "zh-hans".
LOCALES: Final = ("de", "es", "fr", "ja", "zh_Hans")

_KEYWORDS: Final = dict(DEFAULT_KEYWORDS) | {
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext_lazy": (1, 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext_lazy": ((1, "c"), 2, 3),
}


def po_file(locale: str) -> Path:
    return PACKAGE / "locale" / locale / "LC_MESSAGES" / "django.po"


def extract() -> Catalog:
    """Collect the texts that the package marks for translation."""
    catalog = Catalog(project="jwt_auth", fuzzy=False)
    found = extract_from_dir(
        PACKAGE,
        method_map=[("**.py", "python"), ("**/templates/**", "tests.messages:extract_template")],
        keywords=_KEYWORDS,
        comment_tags=("Translators:",),
        strip_comment_tags=False,
    )
    for file, line, message, comments, context in sorted(found, key=lambda text: text[:2]):
        places = [(f"{PACKAGE.name}/{file}", line)]
        catalog.add(message, None, places, auto_comments=comments, context=context)
    return catalog


def extract_template(
    file: IO[bytes], keywords: Any, comment_tags: Any, options: Any
) -> Iterator[tuple[int, str | tuple[str, ...], list[str], str | None]]:
    """Find the texts of a template, in what Django makes of it for GNU gettext."""
    # Between brackets, Python doesn't mind how lines are indented.
    source = f"({templatize(file.read().decode())}\n)"
    yield from extract_python(io.BytesIO(source.encode()), keywords, comment_tags, options)


def read(locale: str) -> Catalog:
    with po_file(locale).open("rb") as file:
        return read_po(file, locale=locale, abort_invalid=True)


def update(locale: str, template: Catalog) -> int:
    """Write the catalog of a language anew, and return how many texts wait for a translator."""
    catalog = read(locale)
    catalog.update(template, no_fuzzy_matching=True, update_creation_date=False)
    with po_file(locale).open("wb") as file:
        write_po(file, catalog, width=100, ignore_obsolete=True, include_lineno=False)
    with po_file(locale).with_suffix(".mo").open("wb") as file:
        write_mo(file, catalog)
    return sum(not is_translated(message.string) for message in catalog)


def is_translated(text: Any) -> bool:
    return all(text) if isinstance(text, tuple) else bool(text)


def main() -> int:
    """Return 1 while a text waits for a translator."""
    template = extract()
    waiting = {locale: update(locale, template) for locale in LOCALES}
    for locale, count in waiting.items():
        print(f"{locale}: {len(template)} texts, {count} to translate")
    return int(any(waiting.values()))


if __name__ == "__main__":
    sys.exit(main())
