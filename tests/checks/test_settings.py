"""Each wrong setting has its check: an id, the reason and the line to write."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.checks import Error
from pytest_django import Settings

from jwt_auth import checks, startup
from jwt_auth.checks.settings import check_settings
from jwt_auth.conf import NAMES
from tests.checks import callables
from tests.checks.scene import advice_of, ids_of, messages_of
from tests.keys.remote.libraries import require

AWS_KMS = "jwt_auth.keys.signers.aws.AWSKMSSigner"
FILE_STORE = "jwt_auth.keys.stores.file.FileKeyStore"
DATABASE = "jwt_auth.revocation.database.DatabaseRevocation"
KEY_SET = "https://auth.example.com/.well-known/jwks.json"
STATELESS = "jwt_auth.revocation.stateless.NoRevocation"


DURATIONS = [
    ("E004", "ACCESS_TOKEN_LIFETIME", timedelta(minutes=1), timedelta(hours=24)),
    ("E005", "REFRESH_TOKEN_LIFETIME", timedelta(hours=1), timedelta(days=365)),
    ("E006", "SESSION_LIFETIME", timedelta(hours=1), timedelta(days=365)),
    ("E007", "CLOCK_LEEWAY", timedelta(0), timedelta(seconds=60)),
    ("E008", "REFRESH_RETRY_WINDOW", timedelta(0), timedelta(seconds=300)),
    ("E009", "REFRESH_REUSE_LEEWAY", timedelta(0), timedelta(seconds=60)),
    ("E017", "KEY_ROTATION_INTERVAL", timedelta(hours=1), timedelta(days=3650)),
    ("E018", "KEY_PUBLISH_AHEAD", timedelta(0), timedelta(days=30)),
    ("E019", "KEY_RELOAD_INTERVAL", timedelta(seconds=1), timedelta(days=1)),
    ("E082", "JWKS_MAX_STALENESS", timedelta(minutes=10), timedelta(days=30)),
    ("E105", "PASSWORD_RESET_LIFETIME", timedelta(minutes=1), timedelta(hours=24)),
    ("E106", "EMAIL_CONFIRMATION_LIFETIME", timedelta(minutes=1), timedelta(hours=24)),
]

#: Which of the callables in tests/checks/callables.py a setting accepts.
CALLABLES = {
    "CLAIMS": ["one", "claims_of_session", "anything", "decorated"],
    "ROLES": ["one", "anything", "decorated"],
    "TENANT": ["nothing", "anything"],
    "LOCAL_USER": ["one", "anything"],
    "SESSION_LIFETIMES": ["lifetimes", "anything"],
    "NEW_DEVICE_HOOK": ["two", "anything"],
    "MAIL_DISPATCHER": ["dispatch", "anything"],
}

#: The checks of those settings.
NAMED = [
    *[("E021", "CLAIMS"), ("E022", "ROLES"), ("E075", "TENANT"), ("E085", "LOCAL_USER")],
    *[("E108", "MAIL_DISPATCHER"), ("E111", "SESSION_LIFETIMES"), ("E112", "NEW_DEVICE_HOOK")],
]

#: What isn't the address of a page with the token in it.
NO_LINKS = (
    "",
    5,
    "https://a.example/reset",
    "https://a.example/{token}#{token}",
    "https://a.example/#{TOKEN}",
    "/reset#{token}",
    "//a.example/reset#{token}",
    "https:/reset#{token}",
    "ftp://a.example/#{token}",
    "javascript://a.example/#{token}",
    "https://{token}.example/",
    "https://a.example:{token}/",
    "https://a.example:port/#{token}",
    "https://[a.example/#{token}",
    "https://a.example/ #{token}",
    "https://a.example/#{token}\n",
)

WRONG: list[tuple[str, str, Any]] = [
    *(("E001", "ISSUER", value) for value in ("", None, 1, ["https://a.example"])),
    *(("E002", "AUDIENCE", value) for value in ("", None, 1, [], ["a", ""], ["a", 1], {"a": 1})),
    *(("E003", "ALGORITHM", value) for value in ("none", "HS512", "es256", None, ["ES256"])),
    *((number, name, 900) for number, name, _, _ in DURATIONS),
    *((number, name, None) for number, name, _, _ in DURATIONS),
    *((number, name, least - timedelta(microseconds=1)) for number, name, least, _ in DURATIONS),
    *((number, name, most + timedelta(microseconds=1)) for number, name, _, most in DURATIONS),
    *(("E010", "REFRESH_COOKIE_NAME", value) for value in ("", "a b", "a;b", "a=b", "ä", 1)),
    ("E010", "REFRESH_COOKIE_NAME", "__Host-refresh_token"),
    *(("E011", "REFRESH_COOKIE_PATH", value) for value in ("", "api", "/a;b", "/a b", "/a\n", 1)),
    *(("E012", "REFRESH_COOKIE_DOMAIN", value) for value in ("", "a b", "a;b", "a..b", "a/b", 1)),
    *(("E013", "REFRESH_COOKIE_SECURE", value) for value in ("True", 1, None)),
    *(("E052", "REFRESH_COOKIE_PARTITIONED", value) for value in ("True", 1, None)),
    ("E053", "REFRESH_COOKIE_PARTITIONED", True),
    *(("E014", "REFRESH_COOKIE_SAMESITE", v) for v in ("strict", None, True, ["Strict"])),
    *(("E015", "ACCESS_COOKIE_NAME", value) for value in ("", "a b", "a;b", "ä", 1, "Path")),
    *(("E015", "ACCESS_COOKIE_NAME", value) for value in ("sessionid", "csrftoken", "messages")),
    ("E010", "REFRESH_COOKIE_NAME", "sessionid"),
    ("E010", "REFRESH_COOKIE_NAME", "secure"),
    ("E010", "REFRESH_COOKIE_NAME", "__host-refresh_token"),
    ("E016", "KEY_STORE", "/etc/keys"),
    ("E016", "KEY_STORE", {"OPTIONS": {}}),
    ("E016", "KEY_STORE", {"BACKEND": 5}),
    ("E016", "KEY_STORE", {"BACKEND": FILE_STORE, "PATH": "/etc/keys"}),
    ("E016", "KEY_STORE", {"BACKEND": FILE_STORE, "OPTIONS": ["PATH"]}),
    ("E016", "KEY_STORE", {"BACKEND": FILE_STORE, "OPTIONS": {}}),
    ("E016", "KEY_STORE", {"BACKEND": FILE_STORE, "OPTIONS": {"PATH": None}}),
    ("E016", "KEY_STORE", {"BACKEND": FILE_STORE, "OPTIONS": {"FOLDER": "/etc/keys"}}),
    ("E016", "KEY_STORE", {"BACKEND": "jwt_auth.keys.stores.files.FileKeyStore"}),
    ("E016", "KEY_STORE", {"BACKEND": "nothing"}),
    ("E016", "KEY_STORE", {"BACKEND": DATABASE}),
    ("E050", "KEY_SIGNER", "aws"),
    ("E050", "KEY_SIGNER", {"OPTIONS": {}}),
    ("E050", "KEY_SIGNER", {"BACKEND": 5}),
    ("E050", "KEY_SIGNER", {"BACKEND": AWS_KMS, "PATH": "/etc/keys"}),
    ("E050", "KEY_SIGNER", {"BACKEND": AWS_KMS, "OPTIONS": ["REGION"]}),
    ("E050", "KEY_SIGNER", {"BACKEND": AWS_KMS, "OPTIONS": {"COLOUR": "red"}}),
    ("E050", "KEY_SIGNER", {"BACKEND": AWS_KMS, "OPTIONS": {"TIMEOUT": "long"}}),
    ("E050", "KEY_SIGNER", {"BACKEND": AWS_KMS, "OPTIONS": {"ATTEMPTS": 0}}),
    ("E050", "KEY_SIGNER", {"BACKEND": "nothing"}),
    ("E050", "KEY_SIGNER", {"BACKEND": DATABASE}),
    *(("E020", "REVOCATION", value) for value in (None, DATABASE, {}, {"BACKEND": 5})),
    ("E020", "REVOCATION", {"BACKEND": "jwt_auth.revocation.nothing.Nothing"}),
    ("E020", "REVOCATION", {"BACKEND": "jwt_auth.conf.Conf"}),
    ("E020", "REVOCATION", {"BACKEND": DATABASE, "OPTIONS": {"X": 1}}),
    ("E020", "REVOCATION", {"BACKEND": DATABASE, "OPTIONS": {"X": []}}),
    ("E020", "REVOCATION", {"BACKEND": "tests.checks.backends.Broken"}),
    *(("E021", "CLAIMS", v) for v in ("", "nothing", "no.such.thing", "os.sep", 5, print)),
    *(("E022", "ROLES", value) for value in ("", "nothing", "no.such.thing", "os.sep", 5)),
    *(("E103", "PASSWORD_RESET_URL", value) for value in NO_LINKS),
    *(("E104", "EMAIL_CONFIRMATION_URL", value) for value in NO_LINKS),
    *(("E085", "LOCAL_USER", value) for value in ("", "nothing", "no.such.thing", "os.sep", 5)),
    *(("E111", "SESSION_LIFETIMES", value) for value in ("", "nothing", "os.sep", 5, print)),
    *(("E112", "NEW_DEVICE_HOOK", value) for value in ("", "nothing", "os.sep", 5, print)),
    *(("E075", "TENANT", value) for value in ("", "nothing", "no.such.thing", "os.sep", 5)),
    *(("E108", "MAIL_DISPATCHER", v) for v in ("", "nothing", "no.such.thing", "os.sep", 5, None)),
    *((number, name, "tests.checks.broken_module.dispatch") for number, name in NAMED),
    ("E080", "JWKS_URL", "https://[/jwks.json"),
    ("E080", "JWKS_URL", "http://auth.example.com/.well-known/jwks.json"),
    ("E080", "JWKS_URL", "https://user:password@auth.example.com/.well-known/jwks.json"),
    *(("E080", "JWKS_URL", value) for value in ("", "file:///etc/keys", 5, {"URL": "https://a"})),
    *(("E098", "DENY_FEED", value) for value in (None, 1, "yes")),
    *(("E024", "MAX_SESSIONS_PER_USER", value) for value in (0, -1, "1", True, 1.5)),
    *(("E025", "THROTTLE_RATES", value) for value in (None, "5/min", 5)),
    ("E025", "THROTTLE_RATES", []),
    ("E025", "THROTTLE_RATES", {"login": "5/min"}),
    *(("E036", "THROTTLE_RATES", {"refresh": rate}) for rate in ("", "5", "0/min", "5/x", 5, "/")),
    *(("E027", "CLIENT_ID", value) for value in ("", None, 1)),
]


def test_good_settings_have_no_message(settings: Settings) -> None:
    """The tests' settings are good ones, so each message below comes from one change."""
    assert messages_of(settings) == []


@pytest.mark.parametrize(("number", "name", "value"), WRONG)
def test_wrong_value_is_an_error_that_says_what_to_write(
    number: str, name: str, value: object, settings: Settings
) -> None:
    """One error, of its id, with the setting's name in the reason and the line in the hint."""
    (message,) = messages_of(settings, **{name: value})
    assert isinstance(message, Error)
    assert message.id == f"jwt_auth.{number}"
    assert message.msg.startswith(f"JWT_AUTH_{name} ")
    assert advice_of(message).startswith(f"Write JWT_AUTH_{name} = ")


@pytest.mark.parametrize("name", sorted({name for _, name, _ in WRONG}))
def test_line_of_the_hint_is_a_good_value(name: str, settings: Settings) -> None:
    """A project that writes the line has no error any more."""
    if name == "KEY_SIGNER":
        require("boto3", "django-jwt-sessions[aws]")
    value = next(value for _, wrong, value in WRONG if wrong == name)
    (message,) = messages_of(settings, **{name: value})
    line = advice_of(message).partition(" = ")[2]
    good = eval(line, {"timedelta": timedelta})
    # The path in the example is the project's own to make.
    good = f"{callables.__name__}.{CALLABLES[name][0]}" if name in CALLABLES else good
    if name == "JWKS_URL":
        settings.JWT_AUTH_KEY_STORE = None  # keys of its own would be another error
    assert not [left for left in messages_of(settings, **{name: good}) if isinstance(left, Error)]


@pytest.mark.parametrize("name", ["CLAIMS", "ROLES", "SESSION_LIFETIMES", "NEW_DEVICE_HOOK"])
@pytest.mark.parametrize(
    ("path", "missing"),
    [("no.such.thing", "No module named 'no'"), ("os.nothing", '"nothing" attribute')],
)
def test_path_that_cannot_be_imported_is_an_error_that_says_why(
    name: str, path: str, missing: str, settings: Settings
) -> None:
    """The reader sees which part of the path is wrong."""
    (message,) = messages_of(settings, **{name: path})
    assert missing in message.msg


@pytest.mark.parametrize("name", CALLABLES)
def test_path_of_a_value_is_an_error_that_does_not_quote_it(name: str, settings: Settings) -> None:
    """It may be a secret that stands beside the callable."""
    (message,) = messages_of(settings, **{name: f"{callables.__name__}.VALUE"})
    assert f"'{callables.__name__}.VALUE'" in message.msg
    assert "isn't callable" in message.msg
    assert callables.VALUE not in message.msg


@pytest.mark.parametrize(
    ("name", "function"),
    [(name, function) for name, functions in CALLABLES.items() for function in functions],
)
def test_callable_that_can_be_called_is_accepted(
    name: str, function: str, settings: Settings
) -> None:
    """It may have more parameters, if they have defaults; and a callable of C tells none."""
    for path in (f"{callables.__name__}.{function}", "builtins.dict"):
        assert not [left for left in messages_of(settings, **{name: path}) if left.is_serious()]


@pytest.mark.parametrize(
    ("name", "function", "reason"),
    [
        ("CLAIMS", "nothing", "too many positional arguments"),
        ("CLAIMS", "two", "missing a required argument: 'session'"),
        ("ROLES", "nothing", "too many positional arguments"),
        ("ROLES", "claims_of_session", "missing a required argument: 'session_claims'"),
        ("TENANT", "one", "missing a required argument: 'user'"),
        ("LOCAL_USER", "nothing", "too many positional arguments"),
        ("SESSION_LIFETIMES", "one", "got an unexpected keyword argument 'remember_me'"),
        ("SESSION_LIFETIMES", "lifetimes_of_staff", "missing a required"),
        ("NEW_DEVICE_HOOK", "one", "too many positional arguments"),
        ("MAIL_DISPATCHER", "one", "got an unexpected keyword argument 'address'"),
        ("MAIL_DISPATCHER", "dispatch_addresses", "missing a required argument: 'address'"),
    ],
)
def test_callable_that_can_not_be_called_is_an_error_that_says_why(
    name: str, function: str, reason: str, settings: Settings
) -> None:
    """Otherwise each login, or each message, would fail."""
    path = f"{callables.__name__}.{function}"
    (message,) = messages_of(settings, **{name: path})
    assert f"call would fail: {reason}" in message.msg.replace(f" of {path!r}", "")


def test_every_setting_has_a_check() -> None:
    assert {f"JWT_AUTH_{name}" for _, name, _ in WRONG} == NAMES


@pytest.mark.parametrize("setting", ["PASSWORD_RESET_URL", "EMAIL_CONFIRMATION_URL"])
@pytest.mark.parametrize(
    "url",
    [
        "https://app.example.com/reset#token={token}",
        "https://app.example.com:8443/#/reset/{token}",
        "http://localhost:8000/#{token}",
        "http://127.0.0.1/#{token}",
        "http://[::1]:8000/#{token}",
    ],
)
def test_page_may_be_anywhere(url: str, setting: str, settings: Settings) -> None:
    """A single-page app has its route behind the #, and a developer's page no TLS."""
    assert messages_of(settings, **{setting: url}) == []


@pytest.mark.parametrize(("number", "name", "least", "most"), DURATIONS)
def test_limits_themselves_are_allowed(
    number: str, name: str, least: timedelta, most: timedelta, settings: Settings
) -> None:
    """The least and the most are good values, unless another setting limits them."""
    settings.JWT_AUTH_SESSION_LIFETIME = timedelta(days=365)
    if name == "SESSION_LIFETIME":
        settings.JWT_AUTH_REFRESH_TOKEN_LIFETIME = least
    if name == "KEY_RELOAD_INTERVAL":
        settings.JWT_AUTH_KEY_PUBLISH_AHEAD = timedelta(days=2)
    if name == "KEY_PUBLISH_AHEAD":
        least = timedelta(minutes=6)
    for value in (least, most):
        messages = messages_of(settings, **{name: value})
        assert number not in ids_of(messages)


@pytest.mark.parametrize(
    "changes",
    [
        {"AUDIENCE": ["a", "b"]},
        {"AUDIENCE": ("a", "b")},
        {"REFRESH_COOKIE_PATH": "/"},
        {"REFRESH_COOKIE_PATH": "/", "REFRESH_COOKIE_NAME": "__Host-token"},
        {"REFRESH_COOKIE_DOMAIN": ".example.com"},
        {"REFRESH_COOKIE_SAMESITE": "Lax"},
        {"REFRESH_COOKIE_SECURE": False},
        {"REFRESH_COOKIE_NAME": "plain"},
        {"MAX_SESSIONS_PER_USER": 1},
        {"KEY_PUBLISH_AHEAD": timedelta(seconds=420)},
        {"THROTTLE_RATES": {"refresh": "1/s", "login_account": "1/h"}},
        {"REVOCATION": {"BACKEND": STATELESS, "OPTIONS": {}}},
        {"CLAIMS": None, "ROLES": "tests.users.models.roles_of"},
    ],
)  # fmt: skip
def test_good_value_has_no_message(changes: dict[str, Any], settings: Settings) -> None:
    assert messages_of(settings, **changes) == []


@pytest.mark.parametrize(
    ("ids", "changes"),
    [
        (["E031"], {"SESSION_LIFETIME": timedelta(days=6)}),
        (["E033"], {"KEY_PUBLISH_AHEAD": timedelta(seconds=359)}),
        (["E033"], {"KEY_RELOAD_INTERVAL": timedelta(seconds=301)}),
        (["E010"], {"REFRESH_COOKIE_SECURE": False, "REFRESH_COOKIE_NAME": "__Secure-x"}),
        (["E010"], {"REFRESH_COOKIE_NAME": "__Host-x", "REFRESH_COOKIE_PATH": "/api/"}),
        (
            ["E010"],
            {
                "REFRESH_COOKIE_NAME": "__Host-x",
                "REFRESH_COOKIE_PATH": "/",
                "REFRESH_COOKIE_DOMAIN": "example.com",
            },
        ),
        (
            ["E010"],
            {
                "REFRESH_COOKIE_NAME": "__Host-x",
                "REFRESH_COOKIE_PATH": "/",
                "REFRESH_COOKIE_SECURE": False,
            },
        ),
        (["E032", "W003"], {"REFRESH_COOKIE_SAMESITE": "None", "REFRESH_COOKIE_SECURE": False}),
    ],
)
def test_values_that_contradict_each_other_are_an_error(
    ids: list[str], changes: dict[str, Any], settings: Settings
) -> None:
    """Each is good by itself, but together they can't work."""
    assert ids_of(messages_of(settings, **changes)) == ids


@pytest.mark.parametrize(
    ("number", "changes"),
    [
        ("W103", {"PASSWORD_RESET_URL": "http://app.example.com/#{token}"}),
        ("W104", {"EMAIL_CONFIRMATION_URL": "http://app.example.com/#{token}"}),
        ("W105", {"PASSWORD_RESET_URL": "https://app.example.com/{token}"}),
        ("W106", {"EMAIL_CONFIRMATION_URL": "http://localhost:8000/?token={token}"}),
        ("W055", {"KEY_PUBLISH_AHEAD": timedelta(seconds=419)}),
        ("W001", {"ACCESS_TOKEN_LIFETIME": timedelta(minutes=30, microseconds=1)}),
        (
            "W002",
            {
                "REFRESH_TOKEN_LIFETIME": timedelta(days=30, microseconds=1),
                "SESSION_LIFETIME": timedelta(days=60),
            },
        ),
        ("W003", {"REFRESH_COOKIE_SAMESITE": "None"}),
        ("W004", {"THROTTLE_RATES": {"login_account": None}}),
        (
            "W005",
            {
                "REVOCATION": {"BACKEND": STATELESS},
                "ACCESS_TOKEN_LIFETIME": timedelta(minutes=15, microseconds=1),
            },
        ),
        ("W085", {"LOCAL_USER": "tests.revocation.mapping.local_user"}),
    ],
)
def test_unwise_value_is_a_warning(
    number: str, changes: dict[str, Any], settings: Settings
) -> None:
    """It works, so it stops nothing; the hint says what to write instead."""
    (message,) = messages_of(settings, **changes)
    assert message.id == f"jwt_auth.{number}"
    assert not message.is_serious()
    assert str(message.hint).startswith("Write JWT_AUTH_")
    assert checks.start_problems(serving=False) == []


def test_values_up_to_the_warning_have_none(settings: Settings) -> None:
    """30 minutes and 30 days are the longest without a warning."""
    day = timedelta(days=30)
    lifetimes = {"REFRESH_TOKEN_LIFETIME": day, "SESSION_LIFETIME": day}
    assert messages_of(settings, ACCESS_TOKEN_LIFETIME=timedelta(minutes=30), **lifetimes) == []


def test_stateless_with_a_wrong_lifetime_is_an_error_and_no_crash(settings: Settings) -> None:
    """A value that is not a duration is not compared with one."""
    messages = messages_of(settings, REVOCATION={"BACKEND": STATELESS}, ACCESS_TOKEN_LIFETIME=900)
    assert ids_of(messages) == ["E004"]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("JWT_AUTH_ISUER", "JWT_AUTH_ISSUER"),
        ("JWT_AUTH_ACCESS_LIFETIME", "JWT_AUTH_ACCESS_TOKEN_LIFETIME"),
        ("JWT_AUTH_COOKIE_SECURE", "JWT_AUTH_REFRESH_COOKIE_SECURE"),
        ("JWT_AUTH_KEYSTORE", "JWT_AUTH_KEY_STORE"),
        ("JWT_AUTH_X", ""),
    ],
)
def test_misspelt_name_names_the_nearest(name: str, near: str, settings: Settings) -> None:
    """A project would believe that a setting is in force, although nothing reads it."""
    setattr(settings, name, "x")
    (message,) = check_settings(None)
    assert (message.id, message.msg) == ("jwt_auth.E026", f"{name} is not a setting of jwt_auth.")
    assert f"Did you mean JWT_AUTH_{near.removeprefix('JWT_AUTH_')}" in str(message.hint)


def test_setting_of_another_package_is_none_of_ours(settings: Settings) -> None:
    """An old package owns the dict JWT_AUTH."""
    settings.JWT_AUTH = {"JWT_ALGORITHM": "HS256"}
    assert check_settings(None) == []


@pytest.mark.parametrize("url", [KEY_SET, "http://127.0.0.1:8000/jwks.json", f"{KEY_SET}?p=1"])
def test_service_that_only_verifies_has_no_message(url: str, settings: Settings) -> None:
    """On the same machine the key set may come over plain HTTP."""
    assert messages_of(settings, JWKS_URL=url, KEY_STORE=None) == []


@pytest.mark.parametrize("setting", ["KEY_STORE", "KEY_SIGNER"])
def test_private_keys_of_a_service_that_only_verifies_are_an_error(
    settings: Settings, setting: str
) -> None:
    """The line may be meant for another service: the issuer would stop giving out tokens."""
    settings.JWT_AUTH_KEY_STORE = None
    value = {"BACKEND": AWS_KMS if setting == "KEY_SIGNER" else "nothing"}
    if setting == "KEY_SIGNER":
        require("boto3", "django-jwt-sessions[aws]")
    (message,) = messages_of(settings, **{"JWKS_URL": KEY_SET, setting: value})
    assert message.id == "jwt_auth.E081"
    assert advice_of(message).startswith(f"Write JWT_AUTH_{setting} = None here, or ")


def test_keys_in_memory_have_no_message_to_the_tests_of_a_service(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`manage.py test` runs the checks first."""
    settings.JWT_AUTH_KEY_STORE = {"BACKEND": "jwt_auth.testing.MemoryKeyStore"}
    assert ids_of(messages_of(settings, JWKS_URL=KEY_SET)) == ["E081"]
    monkeypatch.setattr(startup, "_started_as", "command")
    monkeypatch.setattr(sys, "argv", ["manage.py", "test"])
    assert messages_of(settings) == []


def test_staleness_must_be_longer_than_the_reload_interval(settings: Settings) -> None:
    """Otherwise requests fail although the issuer is up."""
    day, second = timedelta(days=1), timedelta(seconds=1)
    good = {"JWKS_URL": KEY_SET, "KEY_STORE": None, "JWKS_MAX_STALENESS": 2 * day}
    assert messages_of(settings, **good, KEY_RELOAD_INTERVAL=day) == []
    (message,) = messages_of(settings, JWKS_MAX_STALENESS=2 * day - second)
    assert message.id == "jwt_auth.E083"
    assert advice_of(message) == "Write JWT_AUTH_JWKS_MAX_STALENESS = timedelta(seconds=172800)"
    settings.JWT_AUTH_KEY_PUBLISH_AHEAD = 2 * day
    assert messages_of(settings, JWKS_URL=None) == []


def test_service_that_only_verifies_must_say_that_it_revokes_nothing(settings: Settings) -> None:
    """W086 until the line of the hint is in the settings."""
    settings.JWT_AUTH_JWKS_URL = "https://auth.example.com/.well-known/jwks.json"
    del settings.JWT_AUTH_REVOCATION
    (message,) = [each for each in check_settings(None) if each.id == "jwt_auth.W086"]
    line = advice_of(message).removesuffix(" to accept this.").partition(" = ")[2]
    assert "W086" not in ids_of(messages_of(settings, REVOCATION=eval(line)))


def test_local_users_of_a_service_that_only_verifies_have_no_message(settings: Settings) -> None:
    """W085 is about a callable that nothing calls."""
    changes = {
        "JWKS_URL": "https://auth.example.com/.well-known/jwks.json",
        "REVOCATION": {"BACKEND": STATELESS},
        "LOCAL_USER": "tests.revocation.mapping.local_user",
    }
    assert "W085" not in ids_of(messages_of(settings, **changes))
    broken = messages_of(settings, REVOCATION=None, JWKS_URL=None)
    assert ids_of(broken) == ["E020"]


def test_comparing_whole_user_agents_has_a_warning(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only if something compares them."""
    hook = {"NEW_DEVICE_HOOK": f"{callables.__name__}.two"}
    assert messages_of(settings, **hook) == []
    monkeypatch.setitem(sys.modules, "ua_parser", None)
    (message,) = messages_of(settings, **hook)
    assert message.id == "jwt_auth.W111"
    assert 'pip install "django-jwt-sessions[devices]"' in advice_of(message)
    assert messages_of(settings, NEW_DEVICE_HOOK=None) == []


def test_all_problems_are_listed_at_once(settings: Settings) -> None:
    """An operator need not start twice to see the second one."""
    wrong = {"ISSUER": "", "ALGORITHM": "none", "CLOCK_LEEWAY": 5, "REFRESH_COOKIE_SECURE": 1}
    wrong |= {"MAX_SESSIONS_PER_USER": 0, "CLAIMS": "nothing", "THROTTLE_RATES": None}
    settings.JWT_AUTH_ISUER = "x"
    expected = ["E026", "E001", "E003", "E007", "E013", "E021", "E024", "E025"]
    assert ids_of(messages_of(settings, **wrong)) == expected


def test_start_is_told_every_problem_in_one_text(settings: Settings) -> None:
    """Id, reason and the line to write, for each."""
    settings.JWT_AUTH_ISSUER = ""
    settings.JWT_AUTH_CLOCK_LEEWAY = 5
    text = checks.explain(checks.start_problems(serving=False))
    assert text.startswith("jwt_auth can't start with 2 problem(s):\n")
    assert "E001: JWT_AUTH_ISSUER must be a string" in text
    assert 'HINT: Write JWT_AUTH_ISSUER = "https://api.example.com"' in text
    assert "jwt_auth.E007: JWT_AUTH_CLOCK_LEEWAY must be a datetime.timedelta." in text


@pytest.mark.parametrize("name", ["KEY_STORE", "REVOCATION"])
def test_option_of_a_backend_is_not_quoted(name: str, settings: Settings) -> None:
    """An option may be a password, and these texts reach logs."""
    value = {"BACKEND": "tests.checks.backends.Broken", "OPTIONS": {"PASSWORD": "hunter2"}}
    (message,) = messages_of(settings, **{name: value})
    assert "hunter2" not in f"{message.msg} {message.hint}"


class AuthRouter:
    """The router of Django's documentation, which knows the app of the users only."""

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        """Send users elsewhere."""
        return "users" if model._meta.app_label == get_user_model()._meta.app_label else None


def test_users_and_sessions_in_two_databases_are_an_error(settings: Settings) -> None:
    """No statement could join them; the hint is the router's line."""
    settings.DATABASE_ROUTERS = [f"{__name__}.AuthRouter"]
    (problem,) = check_settings(None)
    assert problem.id == "jwt_auth.E076"
    assert "'users'" in problem.msg
    assert '"jwt_auth"' in str(problem.hint)
