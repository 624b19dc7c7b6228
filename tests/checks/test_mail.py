"""What a server needs to send messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import django
import pytest
from django.core.checks import CheckMessage
from pytest_django import Settings

from jwt_auth.checks.mail import check_mail_deployment
from tests.checks.scene import advice_of, ids_of
from tests.mail.servers import SMTP_BACKEND, use_mailer, use_server
from tests.neighbours.packages import optional

pytestmark = pytest.mark.smoke

TASKS = "django.tasks" if django.VERSION >= (6,) else "django_tasks"


@pytest.fixture(autouse=True)
def _production(settings: Settings) -> None:
    """Give good settings of a project that sends messages; each test makes one unwise."""
    settings.JWT_AUTH_PASSWORD_RESET_URL = "https://app.example.com/reset#token={token}"
    settings.JWT_AUTH_NEW_DEVICE_HOOK = "jwt_auth.mail.new_device.send_notice"
    settings.JWT_AUTH_EMAIL_CONFIRMATION_URL = None
    settings.DEFAULT_FROM_EMAIL = "accounts@example.com"
    del settings.JWT_AUTH_MAIL_DISPATCHER
    use_server(settings, 25)


def _only(number: str) -> CheckMessage:
    (message,) = check_mail_deployment()
    assert ids_of([message]) == [number]
    return message


def test_good_settings_have_no_message() -> None:
    """So each message below comes from one change."""
    assert not list(check_mail_deployment())


def test_project_that_sends_nothing_has_no_message(settings: Settings) -> None:
    """Nor has a service that only verifies tokens."""
    settings.DEFAULT_FROM_EMAIL = "webmaster@localhost"
    settings.JWT_AUTH_JWKS_URL = "https://auth.example.com/.well-known/jwks.json"
    assert not list(check_mail_deployment())
    settings.JWT_AUTH_JWKS_URL = None
    settings.JWT_AUTH_PASSWORD_RESET_URL = settings.JWT_AUTH_NEW_DEVICE_HOOK = None
    assert not list(check_mail_deployment())


def test_sender_of_django_is_warned_of(settings: Settings) -> None:
    """A project that names none."""
    settings.DEFAULT_FROM_EMAIL = "webmaster@localhost"
    assert advice_of(_only("W108")).startswith("Write DEFAULT_FROM_EMAIL = ")


@pytest.mark.parametrize("name", ["console", "dummy", "filebased", "locmem"])
def test_backend_that_sends_nothing_is_warned_of(
    name: str, settings: Settings, tmp_path: Path
) -> None:
    """Django's own for development and tests."""
    options: dict[str, object] = {"file_path": str(tmp_path)} if name == "filebased" else {}
    use_mailer(settings, f"django.core.mail.backends.{name}.EmailBackend", options)
    assert SMTP_BACKEND in advice_of(_only("W109"))


def test_backend_that_can_not_be_built_is_warned_of(settings: Settings) -> None:
    """Each message would fail."""
    use_mailer(settings, "no.such.Backend", {})
    assert "can't be built" in _only("W109").msg


def test_missing_time_out_is_warned_of(settings: Settings) -> None:
    """Two connections that hang stop all messages of the process."""
    use_mailer(settings, SMTP_BACKEND, {"host": "localhost", "port": 25, "timeout": None})
    assert "10" in advice_of(_only("W110"))


def test_template_that_can_not_be_loaded_is_an_error(settings: Settings, tmp_path: Path) -> None:
    """Such as a project's own with a typing error."""
    folder = tmp_path / "jwt_auth" / "mail"
    folder.mkdir(parents=True)
    (folder / "new_device_body.txt").write_text("{% nothing %}")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    assert "new_device_body.txt" in _only("E109").msg


@pytest.mark.parametrize("backend", ["immediate.ImmediateBackend", "dummy.DummyBackend"])
def test_tasks_without_a_worker_are_an_error(backend: str, settings: Settings) -> None:
    """The request would send the message, or nobody would."""
    if TASKS == "django_tasks":
        optional("django_tasks")
    settings.TASKS = {"default": {"BACKEND": f"{TASKS}.backends.{backend}"}}
    settings.JWT_AUTH_MAIL_DISPATCHER = "jwt_auth.mail.tasks.enqueue"
    message = _only("E110")
    assert f"the {backend.partition('.')[2]} of TASKS" in message.msg
    assert advice_of(message).startswith("Write JWT_AUTH_MAIL_DISPATCHER = ")


def dispatch_elsewhere(kind: str, **arguments: Any) -> None:
    """Stand for a project's own dispatcher."""


def test_dispatcher_of_tests_is_an_error(settings: Settings) -> None:
    """It sends in the request; a project's own one is the project's responsibility."""
    settings.JWT_AUTH_MAIL_DISPATCHER = "jwt_auth.mail.dispatch.at_once"
    _only("E110")
    settings.JWT_AUTH_MAIL_DISPATCHER = f"{__name__}.dispatch_elsewhere"
    assert not list(check_mail_deployment())
