"""Settings from environment variables."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import django
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from example_project import environment
from jwt_auth.checks.settings import check_settings
from jwt_auth.conf import NAMES
from tests.jobs import ROOT


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((yes, True) for yes in ("true", "True", "TRUE", "1", " 1 ")),
        *((no, False) for no in ("false", "False", "0")),
        ("", None),
        ("  ", None),
    ],
)
def test_flag_is_read(text: str, expected: bool | None) -> None:
    """True, false, 1 or 0, in any case; nothing is the default."""
    for default in (True, False):
        wanted = default if expected is None else expected
        assert environment.flag({"X": text}, "X", default=default) is wanted
        assert environment.flag({}, "X", default=default) is default


@pytest.mark.parametrize("text", ["yes", "on", "2", "tru", "None", "-1"])
def test_flag_that_says_anything_else_stops_the_start(text: str) -> None:
    """A typing error in DEBUG is taken for neither answer; the value is not repeated."""
    with pytest.raises(ImproperlyConfigured, match=r"^DEBUG must be true, false, 1 or 0\.$"):
        environment.flag({"DEBUG": text}, "DEBUG", default=False)


@pytest.mark.parametrize(("text", "expected"), [("0", 0), ("60", 60), (" 7 ", 7), ("", 5)])
def test_number_is_read(text: str, expected: int) -> None:
    """A whole number, zero or more."""
    assert environment.number({"X": text}, "X", default=5) == expected


@pytest.mark.parametrize("text", ["-1", "1.5", "1e3", "x", "\u0661", "\u00b2", "1_000"])
def test_number_that_is_none_stops_the_start(text: str) -> None:
    """Other digits than ASCII's are a typing error, too."""
    with pytest.raises(ImproperlyConfigured, match=r"^N must be a whole number, zero or more\.$"):
        environment.number({"N": text}, "N", default=0)


@pytest.mark.parametrize(("text", "expected"), [("", "B"), (" ", "B"), ("a", "A"), (" B ", "B")])
def test_choice_is_read(text: str, expected: str) -> None:
    """In any case; nothing is the default."""
    assert environment.choice({"X": text}, "X", among=("A", "B"), default="B") == expected


def test_choice_that_there_is_not_stops_the_start() -> None:
    """With those that there are."""
    with pytest.raises(ImproperlyConfigured, match=r"^X must be one of A, B\.$"):
        environment.choice({"X": "c"}, "X", among=("A", "B"), default="A")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", []), (" , ,", []), ("a", ["a"]), ("a,b", ["a", "b"]), (" a , b,", ["a", "b"])],
)
def test_items_are_read(text: str, expected: list[str]) -> None:
    """Written with commas; empty ones are none."""
    assert environment.items({"X": text}, "X") == expected
    assert environment.items({}, "X") == []


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("ACCESS_TOKEN_LIFETIME", "900", timedelta(minutes=15)),
        ("ACCESS_TOKEN_LIFETIME", "0.5", timedelta(seconds=0.5)),
        ("CLOCK_LEEWAY", "-1", timedelta(seconds=-1)),
        ("ACCESS_TOKEN_LIFETIME", "15 minutes", "15 minutes"),
        ("ACCESS_TOKEN_LIFETIME", "true", "true"),
        ("ACCESS_TOKEN_LIFETIME", "null", "null"),
        ("ACCESS_TOKEN_LIFETIME", "[900]", "[900]"),
        ("ACCESS_TOKEN_LIFETIME", "NaN", "NaN"),
        ("ACCESS_TOKEN_LIFETIME", "1e99", "1e99"),
        ("ACCESS_TOKEN_LIFETIME", "", ""),
        ("REFRESH_COOKIE_SECURE", "False", False),
        ("REFRESH_COOKIE_SECURE", "1", True),
        ("REFRESH_COOKIE_SECURE", "maybe", "maybe"),
        ("AUDIENCE", "example-api", "example-api"),
        ("AUDIENCE", '["a", "b"]', ["a", "b"]),
        ("THROTTLE_RATES", '{"refresh": null}', {"refresh": None}),
        ("MAX_SESSIONS_PER_USER", "3", 3),
        ("REFRESH_COOKIE_DOMAIN", "null", None),
        ("ISSUER", '"quoted"', '"quoted"'),
        ("ISSUER", "{not json", "{not json"),
        ("NO_SUCH_SETTING", "x", "x"),
    ],
)
def test_jwt_auth_variable_is_read(name: str, text: str, expected: object) -> None:
    """Seconds for durations, JSON for the rest, and text as it stands where it makes no sense."""
    name = f"JWT_AUTH_{name}"
    assert environment.jwt_auth_settings({name: text, "OTHER": "x"}) == {name: expected}


def test_durations_are_all_that_there_are() -> None:
    """A new setting of a duration is read as one."""
    defaults = {name for name in NAMES if name.endswith(("_LIFETIME", "_LEEWAY", "_WINDOW"))}
    assert defaults <= environment.DURATIONS <= NAMES
    assert environment.FLAGS <= NAMES


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("JWT_AUTH_ACCESS_TOKEN_LIFETIME", "15 minutes"),
        ("JWT_AUTH_ACCESS_TOKEN_LIFETIME", "true"),
        ("JWT_AUTH_ACCESS_TOKEN_LIFETIME", "1"),
        ("JWT_AUTH_SESSION_LIFETIME", ""),
        ("JWT_AUTH_REFRESH_COOKIE_SECURE", "maybe"),
        ("JWT_AUTH_ALGORITHM", "none"),
        ("JWT_AUTH_AUDIENCE", "[]"),
        ("JWT_AUTH_KEY_STORE", "/keys"),
        ("JWT_AUTH_THROTTLE_RATES", '{"refresh": "often"}'),
        ("JWT_AUTH_MAX_SESSIONS_PER_USER", "many"),
        ("JWT_AUTH_ACCES_TOKEN_LIFETIME", "900"),
    ],
)
def test_wrong_variable_is_named_by_the_checks(name: str, text: str) -> None:
    """As in a settings file: which setting it is, and the line to write."""
    with override_settings(**environment.jwt_auth_settings({name: text})):
        problems = [problem for problem in check_settings(None) if problem.is_serious()]
    assert any(name in problem.msg for problem in problems), problems
    assert all(problem.hint for problem in problems)


SMTP = "django.core.mail.backends.smtp.EmailBackend"


@pytest.mark.parametrize("printed_by", [None, "example.Printer"])
def test_mail_server_is_read(printed_by: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """For each of Django's two ways to name it; a variable that is empty is none."""
    environ = {"EMAIL_HOST": "mx", "EMAIL_PORT": "587", "EMAIL_USE_TLS": "1", "EMAIL_TIMEOUT": ""}
    monkeypatch.setattr(django, "VERSION", (6, 0))
    former = environment.mail_settings(environ, printed_by=printed_by)
    assert former == {
        "EMAIL_BACKEND": printed_by or SMTP,
        "EMAIL_HOST": "mx",
        "EMAIL_PORT": 587,
        "EMAIL_HOST_USER": "",
        "EMAIL_HOST_PASSWORD": "",
        "EMAIL_USE_TLS": True,
        "EMAIL_TIMEOUT": 10,
    }
    monkeypatch.setattr(django, "VERSION", (6, 1))
    mailers = environment.mail_settings(environ, printed_by=printed_by)
    options = {
        "host": "mx",
        "port": 587,
        "username": "",
        "password": "",
        "use_tls": True,
        "timeout": 10,
    }
    mailer = {"BACKEND": printed_by or SMTP, "OPTIONS": {} if printed_by else options}
    assert mailers == {"MAILERS": {"default": mailer}}


def _manage(command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", command],
        cwd=ROOT,
        env=kept | {"EXAMPLE_DATA_DIR": str(folder)} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"ALLOWED_HOSTS": "x"}, "Set the environment variable SECRET_KEY, or DEBUG=1 for a try."),
        ({"SECRET_KEY": "x", "DEBUG": "maybe"}, "DEBUG must be true, false, 1 or 0."),
        ({"SECRET_KEY": "x", "NUM_PROXIES": "-1"}, "NUM_PROXIES must be a whole number"),
        ({"EXAMPLE_DATA_DIR": "/proc/x"}, "/proc/x can't be created"),
        (
            {"SECRET_KEY": "x", "JWT_AUTH_ACCESS_TOKEN_LIFETIME": "soon"},
            "JWT_AUTH_ACCESS_TOKEN_LIFETIME must be a datetime.timedelta.",
        ),
    ],
)
def test_start_with_a_wrong_variable_says_which(
    variables: Mapping[str, str], says: str, tmp_path: Path
) -> None:
    """Exit code 1 and a sentence that names it."""
    ended = _manage("check", tmp_path, **variables)
    assert ended.returncode == 1
    assert says in ended.stderr


def test_command_without_variables_is_fine(tmp_path: Path) -> None:
    """None has to be set to try it; the folder for keys is the owner's alone."""
    ended = _manage("check", tmp_path / "data")
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({"REDIS_URL": ""}, None),
        (
            {"REDIS_URL": "redis://127.0.0.1:1/0"},
            {
                "BACKEND": "jwt_auth.revocation.redis.RedisRevocation",
                "OPTIONS": {"CACHE": "default"},
            },
        ),
        (
            {
                "REDIS_URL": "redis://127.0.0.1:1/0",
                "JWT_AUTH_REVOCATION": '{"BACKEND": "example.Other"}',
            },
            {"BACKEND": "example.Other"},
        ),
    ],
)
def test_redis_url_has_redis_answer_revocation_checks(
    variables: Mapping[str, str], expected: object, tmp_path: Path
) -> None:
    """The database does without it, and JWT_AUTH_REVOCATION has the last word."""
    written = _manage("diffsettings", tmp_path, DEBUG="1", **variables).stdout
    found = re.search(r"^JWT_AUTH_REVOCATION = (.+?)(?:  ###)?$", written, re.MULTILINE)
    assert (ast.literal_eval(found[1]) if found else None) == expected


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"DEBUG": "1"}, ("http://127.0.0.1:8000/#reset={token}", True)),
        ({"DEBUG": "1", "EMAIL_HOST": "mx"}, ("http://127.0.0.1:8000/#reset={token}", False)),
        ({"DEBUG": "0"}, ("http://127.0.0.1:8000/#reset={token}", False)),
        ({"ALLOWED_HOSTS": "*"}, ("http://127.0.0.1:8000/#reset={token}", False)),
        ({"ALLOWED_HOSTS": ".app.test"}, ("http://127.0.0.1:8000/#reset={token}", False)),
        ({"ALLOWED_HOSTS": "app.test,b.test"}, ("https://app.test/#reset={token}", False)),
        (
            {"DEBUG": "0", "PAGE_URL": "https://app.test/", "EMAIL_HOST": "mx"},
            ("https://app.test/#reset={token}", False),
        ),
        (
            {"DEBUG": "1", "JWT_AUTH_PASSWORD_RESET_URL": "https://other.test/#{token}"},
            ("https://other.test/#{token}", True),
        ),
    ],
)
def test_page_of_the_links_is_read(
    variables: Mapping[str, str], expected: object, tmp_path: Path
) -> None:
    """By default the page is at the first host; only with DEBUG does a mail go to the terminal."""
    written = _manage("diffsettings", tmp_path, SECRET_KEY="x", **variables).stdout
    link = re.search(r"^JWT_AUTH_PASSWORD_RESET_URL = '(.+)'", written, re.MULTILINE)
    printed = re.search(r"^PRINTS_MAIL = True", written, re.MULTILINE)
    assert (link and link[1], bool(printed)) == expected
