"""The catalogs have every text, completely translated, and are compiled."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from gettext import GNUTranslations
from pathlib import Path
from typing import Any

import pytest
from babel.messages import Catalog, Message
from babel.messages.pofile import read_po
from django.utils.functional import Promise
from rest_framework.exceptions import APIException

from jwt_auth.http import borrowed_texts, exception_handler
from tests import messages
from tests.messages import LOCALES, PACKAGE, extract, is_translated, po_file, read
from tests.programs import need

HINT = "run `make messages`, and translate what is empty"
_PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[a-z]|\{\w*\}")
Key = tuple[str | None, str, str | None]


def _key(message: Message) -> Key:
    """What makes a text another one: its context, and its two forms in English."""
    one, *many = _forms(message.id)
    return message.context, one, many[0] if many else None


def _texts(catalog: Catalog) -> dict[Key, Message]:
    return {_key(message): message for message in catalog if message.id}


def _forms(text: Any) -> tuple[str, ...]:
    return tuple(text) if isinstance(text, tuple | list) else (text,)


@pytest.fixture(scope="module")
def marked() -> dict[Key, Message]:
    """The texts that the package marks."""
    return _texts(extract())


@pytest.fixture(params=LOCALES)
def locale(request: pytest.FixtureRequest) -> str:
    """Each language."""
    return str(request.param)


def test_catalog_has_the_texts_of_the_package(locale: str, marked: dict[Key, Message]) -> None:
    """None is missing, and none is there that the package has no longer."""
    catalog = read(locale)
    assert _texts(catalog).keys() == marked.keys(), HINT
    assert not catalog.obsolete, HINT


def test_every_text_is_translated(locale: str) -> None:
    """Nothing is empty or a guess, and a text with a number has each form of the language."""
    catalog = read(locale)
    texts = _texts(catalog).values()
    assert [_key(text) for text in texts if text.fuzzy or not is_translated(text.string)] == []
    plurals = [text for text in texts if isinstance(text.id, tuple)]
    short = [text for text in plurals if len(_forms(text.string)) != catalog.num_plurals]
    assert [_key(text) for text in short] == []


def test_placeholders_are_those_of_the_text(locale: str) -> None:
    """A translation with another one would fail in a request, or say less."""
    wrong = []
    for text in _texts(read(locale)).values():
        allowed = {tuple(sorted(_PLACEHOLDER.findall(form))) for form in _forms(text.id)}
        wrong += [
            form
            for form in _forms(text.string)
            if tuple(sorted(_PLACEHOLDER.findall(form))) not in allowed
        ]
    assert wrong == []


def test_line_ends_are_those_of_the_text(locale: str) -> None:
    """A subject gets no second line, and a body keeps its last."""
    wrong = [
        form
        for text in _texts(read(locale)).values()
        for form in _forms(text.string)
        if (form[:1] == "\n", form[-1:] == "\n")
        != (_forms(text.id)[0][:1] == "\n", _forms(text.id)[0][-1:] == "\n")
    ]
    assert wrong == []


def test_compiled_catalog_is_the_source(locale: str) -> None:
    """Django reads the .mo file only, and nothing compiles it at the installation."""
    catalog = read(locale)
    expected: dict[Any, str] = {}
    for text in _texts(catalog).values():
        name = f"{text.context}\x04{_forms(text.id)[0]}" if text.context else _forms(text.id)[0]
        if isinstance(text.id, tuple):
            expected |= {(name, number): form for number, form in enumerate(_forms(text.string))}
        else:
            expected[name] = str(text.string)
    with po_file(locale).with_suffix(".mo").open("rb") as file:
        compiled = GNUTranslations(file)
    stored: dict[Any, str] = vars(compiled)["_catalog"]  # which Django reads, too
    assert {key: text for key, text in stored.items() if key} == expected, HINT
    info = compiled.info()
    assert info["plural-forms"].rstrip(";") == catalog.plural_forms.rstrip(";")


def test_folders_are_the_languages() -> None:
    """A catalog that no test sees would decay."""
    assert sorted(path.name for path in (PACKAGE / "locale").iterdir()) == sorted(LOCALES)


def test_update_keeps_translations_and_leaves_new_texts_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A translator sees what to do; a similar text isn't taken for the same."""
    monkeypatch.setattr(messages, "PACKAGE", tmp_path)
    po_file("de").parent.mkdir(parents=True)
    shutil.copy(PACKAGE / "locale/de/LC_MESSAGES/django.po", po_file("de"))
    template = extract()  # of an empty folder
    template.add("The request is not valid.")
    template.add("The request is not valid!")
    assert messages.update("de", template) == 1
    old, new = (text.string for text in read("de") if text.id)
    assert (bool(old), new) == (True, "")


@pytest.mark.live
def test_gnu_gettext_finds_the_same_texts(tmp_path: Path, marked: dict[Key, Message]) -> None:
    """The tool of this project sees what Django's makemessages sees."""
    need("xgettext")
    folder = tmp_path / "jwt_auth"
    shutil.copytree(PACKAGE, folder)
    # With -P, because the package has modules whose names are the standard library's.
    command = ["makemessages", "--locale", "de", "--verbosity", "0"]
    subprocess.run([sys.executable, "-P", "-m", "django", *command], cwd=folder, check=True)
    with (folder / "locale/de/LC_MESSAGES/django.po").open("rb") as file:
        merged = read_po(file)
    assert _texts(merged).keys() == marked.keys()
    assert not merged.obsolete


def _subclasses(error: type[APIException]) -> list[type[APIException]]:
    children = [(child, *_subclasses(child)) for child in error.__subclasses__()]
    return [error for family in children for error in family]


def test_errors_of_answers_are_marked(marked: dict[Key, Message]) -> None:
    """Whatever an endpoint answers, a user may read."""
    texts = {one for _, one, _ in marked}
    errors = [
        error for error in _subclasses(APIException) if error.__module__.startswith("jwt_auth.")
    ]
    assert {error.message for error in exception_handler._STATUS} <= texts
    assert [error for error in errors if not isinstance(error.default_detail, Promise)] == []
    assert [error for error in errors if str(error.default_detail) not in texts] == []


def test_borrowed_texts_are_marked(marked: dict[Key, Message]) -> None:
    """They are REST framework's and Django's, and their catalogs lack them."""
    assert set(borrowed_texts.REST_FRAMEWORK) <= {one for _, one, _ in marked}
    assert (
        str(borrowed_texts.DJANGO % 8)
        == "This password is too short. It must contain at least 8 characters."
    )
