"""The settings of BACKEND and OPTIONS: their instances, and the messages about wrong values."""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from threading import Lock
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from jwt_auth.backend_settings import BackendSetting
from jwt_auth.checks.settings import check_settings
from jwt_auth.keys.signers.base import find_key_signer
from jwt_auth.keys.stores.base import get_key_store
from jwt_auth.revocation.base import get_backend


class Speaker(ABC):
    """The base class of the setting in these tests."""

    @abstractmethod
    def speak(self) -> str:
        """Give the words."""


class Polite(Speaker):
    """Accepts two options, and refuses a value of one with a text that quotes it."""

    def __init__(self, WORDS: str, TIMES: int = 1) -> None:  # noqa: N803  the names of options
        self.words = WORDS.split()
        if TIMES > 9:
            raise RuntimeError(f"{WORDS} {TIMES} times")

    def speak(self) -> str:
        return " ".join(self.words)


class Silent(Speaker):
    """Accepts no option."""

    def speak(self) -> str:
        return ""


class Open(Silent):
    """Accepts any option."""

    def __init__(self, WORDS: str, *rest: object, **options: object) -> None:  # noqa: N803
        self.words = WORDS


class Guarded(Silent):
    """Accepts a lock, which can't be copied, or an object that equals no other."""

    def __init__(self, GUARD: object) -> None:  # noqa: N803
        self.guard = GUARD


HERE = __name__
POLITE = {"BACKEND": f"{HERE}.Polite"}
SHAPE = "must be a dict with BACKEND, a dotted path, and optionally OPTIONS."
NOTHING = f'Module "{HERE}" does not define a "Loud" attribute/class'
UNEXPECTED = "has wrong OPTIONS: got an unexpected keyword argument"
CHECK = "Check that each value is set and has the right type."


@pytest.fixture
def setting() -> BackendSetting[Speaker]:
    return BackendSetting("JWT_AUTH_SPEAKER", Speaker)


def test_value_names_class_and_options(setting: BackendSetting[Speaker]) -> None:
    """As in CACHES; OPTIONS may be left out."""
    polite = {**POLITE, "OPTIONS": {"WORDS": "good  morning"}}
    assert setting.get_instance(polite).speak() == "good morning"
    assert setting.get_instance({"BACKEND": f"{HERE}.Silent"}).speak() == ""
    assert isinstance(
        setting.get_instance({"BACKEND": f"{HERE}.Open", "OPTIONS": {"WORDS": "a", "X": 1}}), Open
    )


def test_instance_is_built_once_for_equal_values(setting: BackendSetting[Speaker]) -> None:
    """It keeps connections. A change of the value, in place too, gives another one."""
    value: dict[str, Any] = {**POLITE, "OPTIONS": {"WORDS": "one"}}
    first = setting.get_instance(value)
    assert setting.get_instance({**POLITE, "OPTIONS": {"WORDS": "one"}}) is first
    value["OPTIONS"]["WORDS"] = "two"
    second = setting.get_instance(value)
    assert second.speak() == "two"
    setting.forget_instance()
    assert setting.get_instance(value) is not second


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, SHAPE),
        (f"{HERE}.Silent", SHAPE),
        ({}, SHAPE),
        ({"OPTIONS": {}}, SHAPE),
        ({"BACKEND": None}, SHAPE),
        ({"BACKEND": Silent}, SHAPE),
        ({**POLITE, "WORDS": "hunter2"}, SHAPE),
        (
            {"BACKEND": "no.such.Speaker"},
            "names no.such.Speaker, which can't be imported: No module named 'no'",
        ),
        (
            {"BACKEND": f"{HERE}.Loud"},
            f"names {HERE}.Loud, which can't be imported: {NOTHING}",
        ),
        (
            {"BACKEND": "Silent"},
            "names Silent, which can't be imported: Silent doesn't look like a module path",
        ),
        ({"BACKEND": ".Silent"}, "names .Silent, which can't be imported: ValueError"),
        *(
            (
                {"BACKEND": path},
                f"names {path}, which is not a concrete subclass of Speaker.",
            )
            for path in ("decimal.Decimal", f"{HERE}.pytest", f"{HERE}.Speaker")
        ),
        ({**POLITE, "OPTIONS": ["hunter2"]}, "has OPTIONS that are not a dict."),
        ({**POLITE, "OPTIONS": None}, "has OPTIONS that are not a dict."),
        (
            POLITE,
            "has wrong OPTIONS: missing a required argument: 'WORDS'. Polite accepts WORDS, TIMES.",
        ),
        (
            {**POLITE, "OPTIONS": {"WORDS": "a", "COLOUR": "hunter2"}},
            f"{UNEXPECTED} 'COLOUR'. Polite accepts WORDS, TIMES.",
        ),
        (
            {"BACKEND": f"{HERE}.Silent", "OPTIONS": {"WORDS": "hunter2"}},
            f"{UNEXPECTED} 'WORDS'. Silent accepts none.",
        ),
        (
            {"BACKEND": f"{HERE}.Open"},
            "has wrong OPTIONS: missing a required argument: 'WORDS'. Open accepts WORDS.",
        ),
        (
            {**POLITE, "OPTIONS": {"WORDS": None}},
            f"has a value in OPTIONS that Polite can't work with (AttributeError). {CHECK}",
        ),
        (
            {**POLITE, "OPTIONS": {"WORDS": "hunter2", "TIMES": 10}},
            f"has a value in OPTIONS that Polite can't work with (RuntimeError). {CHECK}",
        ),
    ],
)
def test_wrong_value_says_what_is_wrong(
    value: object, text: str, setting: BackendSetting[Speaker]
) -> None:
    """By names only: an option's value may be a password."""
    with pytest.raises(ImproperlyConfigured) as error:
        setting.get_instance(value)
    assert str(error.value) == f"JWT_AUTH_SPEAKER {text}"
    assert "hunter2" not in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize(
    ("name", "base", "get", "number"),
    [
        ("KEY_STORE", "KeyStore", get_key_store, "E016"),
        ("KEY_SIGNER", "KeySigner", find_key_signer, "E050"),
        ("REVOCATION", "RevocationBackend", get_backend, "E020"),
    ],
)
@pytest.mark.parametrize("value", ["a.b", {"BACKEND": "decimal.Decimal"}, {"BACKEND": "no.Such"}])
def test_check_says_what_the_first_request_would(
    name: str, base: str, get: Callable[[], object], number: str, value: Any, settings: Settings
) -> None:
    """Of each of the three settings: what is wrong, and the line to write."""
    setattr(settings, f"JWT_AUTH_{name}", value)
    with pytest.raises(ImproperlyConfigured, match=f"JWT_AUTH_{name} .*") as error:
        get()
    (problem,) = [each for each in check_settings(None) if each.id == f"jwt_auth.{number}"]
    assert problem.msg == str(error.value)
    assert f"JWT_AUTH_{name} = " in str(problem.hint)
    assert ("subclass" in problem.msg) == (f"subclass of {base}." in problem.msg)


@pytest.mark.parametrize("guard", [Lock(), object()], ids=["lock", "object"])
def test_option_without_an_equal_copy_gets_one_instance(guard: object) -> None:
    """A backend that is built at each request would lose what it knows, such as an outage."""
    setting = BackendSetting("JWT_AUTH_SPEAKER", Speaker)
    value = {"BACKEND": f"{HERE}.Guarded", "OPTIONS": {"GUARD": guard}}
    built = setting.get_instance(value)
    assert setting.get_instance(value) is built
    assert isinstance(built, Guarded)
    assert built.guard is guard
