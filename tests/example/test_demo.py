"""manage.py demo: everything in one command."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.core.mail import EmailMultiAlternatives
from django.core.management import call_command
from django.core.management.base import CommandError
from pytest_django import Settings

from example_project.demo.mail import TerminalBackend
from example_project.demo.management.commands import demo
from jwt_auth.keys.stores.file import FileKeyStore
from tests.flows.scene import log_in, row_of
from tests.management.commands import output_of

pytestmark = [pytest.mark.example, pytest.mark.django_db, pytest.mark.smoke]

PASSWORD = "only-for-the-demo"


@pytest.fixture(autouse=True)
def _debug(settings: Settings) -> None:
    settings.DEBUG = True


def _run(*arguments: str) -> str:
    return output_of("demo", *arguments)


def test_demo_makes_keys_and_two_users(file_store: FileKeyStore) -> None:
    """And says where to go and who to log in as."""
    said = _run("--no-serve", "--port", "8123")
    assert "http://127.0.0.1:8123/" in said
    assert "demo / only-for-the-demo" in said
    assert len(file_store.load().keys) == 1
    demo, admin = (
        authenticate(username=name, password=PASSWORD) for name in ("demo", "demo-admin")
    )
    assert demo is not None
    assert admin is not None
    assert sorted(group.name for group in demo.groups.all()) == ["editor", "support"]
    assert (demo.is_staff, demo.is_superuser) == (False, False)
    assert [group.name for group in admin.groups.all()] == ["admin"]
    assert (admin.is_staff, admin.is_superuser) == (True, True)


def test_links_in_mails_lead_to_the_port(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever was free, unless PAGE_URL names a page."""
    settings.PAGE_URL = "http://127.0.0.1:8000/"
    settings.JWT_AUTH_EMAIL_CONFIRMATION_URL = None
    for page, link in {"": "http://127.0.0.1:8123/", "x": settings.PAGE_URL}.items():
        monkeypatch.setenv("PAGE_URL", page)
        settings.JWT_AUTH_PASSWORD_RESET_URL = f"{settings.PAGE_URL}#reset={{token}}"
        _run("--no-serve", "--port", "8123")
        assert f"{link}#reset={{token}}" == settings.JWT_AUTH_PASSWORD_RESET_URL
        assert settings.JWT_AUTH_EMAIL_CONFIRMATION_URL is None


@pytest.mark.parametrize("prints", [True, False])
def test_demo_says_where_the_mails_go(settings: Settings, prints: bool) -> None:
    """To the terminal if there is no mail server."""
    settings.PRINTS_MAIL = prints
    assert ("demo@example.test gets it here" in _run("--no-serve")) is prints


def test_printed_mail_has_its_link_in_one_line() -> None:
    """As nothing that goes over the wire: a person copies it."""
    link = f"http://127.0.0.1:8000/#reset={'x' * 700}"
    mail = EmailMultiAlternatives("Set a password", f"Open:\n\n{link}\n", to=["a@b.test"])
    mail.attach_alternative("<p>Open</p>", "text/html")
    printed = io.StringIO()
    TerminalBackend(stream=printed).send_messages([mail])
    lines = printed.getvalue().splitlines()
    assert link in lines
    assert "---- Mail to a@b.test: Set a password" in lines
    assert "<p>" not in printed.getvalue()


def test_second_run_mends_and_ends_no_session() -> None:
    """What somebody has changed is brought back; whoever is logged in stays so."""
    _run("--no-serve")
    users = get_user_model()._default_manager
    session = log_in(users.get(username="demo"))
    users.filter(username="demo").update(is_superuser=True, tenant="other")
    _run("--no-serve")
    demo = users.get(username="demo")
    assert (demo.is_superuser, demo.tenant) == (False, "acme")
    assert row_of(session).revoked_at is None


def test_changed_password_is_brought_back() -> None:
    """The README's one is good again."""
    _run("--no-serve")
    demo = get_user_model()._default_manager.get(username="demo")
    demo.set_password("something else")
    demo.save()
    _run("--no-serve")
    assert authenticate(username="demo", password=PASSWORD) == demo


def test_demo_needs_debug(settings: Settings) -> None:
    """No superuser with a known password where it could matter."""
    settings.DEBUG = False
    with pytest.raises(CommandError, match="DEBUG"):
        _run("--no-serve")
    assert not get_user_model()._default_manager.exists()


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another process serves on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_port_in_use_is_told_before_anything_is_made(taken: int) -> None:
    """With a command that works in a fresh clone."""
    with pytest.raises(CommandError, match=rf'Port {taken} .*`make demo ARGS="--port \d+"`\.'):
        _run("--port", str(taken))
    assert not get_user_model()._default_manager.exists()


def test_first_free_port_is_found(taken: int) -> None:
    """Where the usual one is taken."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        free = found.getsockname()[1]
    assert demo.find_free_port([taken, free]) == free


def test_impossible_port_is_told() -> None:
    """As one that is in use."""
    with pytest.raises(CommandError, match="There is no port 99999: choose another one"):
        _run("--port", "99999")


def test_folder_that_can_not_be_written_is_told(settings: Settings) -> None:
    """With the variable that names another one."""
    folders = Path("/proc/self"), Path("/System")  # which not even root can write to
    settings.DATA_DIR = next(folder for folder in folders if folder.exists())
    with pytest.raises(CommandError, match=r"can't write to /\S+: set EXAMPLE_DATA_DIR"):
        _run("--no-serve")


def test_broken_key_ring_is_told_and_kept(file_store: FileKeyStore) -> None:
    """Somebody's keys are not replaced by new ones."""
    call_command("generate_keys", verbosity=0)
    ring = Path(file_store.describe())
    ring.write_text("{")
    with pytest.raises(CommandError, match=r"ring\.json"):
        _run("--no-serve")
    assert ring.read_text() == "{"
