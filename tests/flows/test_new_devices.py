"""The project's hook is told of a login from a new device, and no login waits for it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from copy import copy
from datetime import UTC, datetime, timedelta
from threading import Event, get_ident
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import translation
from pytest_django import DjangoAssertNumQueries, Settings

from jwt_auth import flows
from jwt_auth.devices import parse_device
from jwt_auth.flows.new_devices import report_new_device
from jwt_auth.mail import background
from jwt_auth.mail.dispatch import queue
from jwt_auth.models import Client, Reason, RefreshTokenFamily
from jwt_auth.sessions import open_session
from tests.conftest import MakeUser
from tests.http.site import Site

pytestmark = [pytest.mark.sql, pytest.mark.user_model]

FIREFOX = "Mozilla/5.0 (Windows NT 10.0; rv:140.0) Gecko/20100101 Firefox/140.0"
NEXT_FIREFOX = "Mozilla/5.0 (Windows NT 10.0; rv:141.0) Gecko/20100101 Firefox/141.0"
LINUX_FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
EDGE = "Mozilla/5.0 (Windows NT 10.0) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0"
UNKNOWN = "nobody knows this one"

#: The users and the sessions that the hook was called with, the language, and the thread.
reported: list[tuple[Any, RefreshTokenFamily, str | None, int]] = []

#: A hook that hangs does so until this is set.
gate = Event()


def report(user: Any, session: RefreshTokenFamily) -> None:
    """Note what the hook is told."""
    reported.append((user, session, translation.get_language(), get_ident()))


def fail(user: Any, session: RefreshTokenFamily) -> None:
    """Fail as a hook may."""
    reported.append((user, session, None, get_ident()))
    raise RuntimeError("alice@example.com has no telephone")


def hang(user: Any, session: RefreshTokenFamily) -> None:
    """Wait for a server that doesn't answer."""
    gate.wait(60)
    report(user, session)


@pytest.fixture(autouse=True)
def _hook(settings: Settings) -> None:
    settings.JWT_AUTH_NEW_DEVICE_HOOK = f"{__name__}.report"
    reported.clear()
    held.clear()
    gate.clear()


class Person:
    """Logs in as one user, an hour later each time."""

    def __init__(self, user: AbstractBaseUser) -> None:
        self.user = user
        self.now = datetime.now(UTC) - timedelta(days=6)

    def log_in(self, user_agent: str) -> RefreshTokenFamily:
        """Open a session with this user agent."""
        self.now += timedelta(hours=1)
        client = Client(ip_address="192.0.2.7", user_agent=user_agent)
        return flows.log_in(self.user, client=client, now=self.now).family


@pytest.fixture
def alice(user: AbstractBaseUser) -> Person:
    """A person without any session."""
    return Person(user)


def _told() -> list[Any]:
    return [session.pk for _, session, _, _ in reported]


def test_login_from_another_browser_or_system_is_reported(alice: Person) -> None:
    """With the user and the session, and each device once."""
    alice.log_in(FIREFOX)
    new = [alice.log_in(EDGE), alice.log_in(LINUX_FIREFOX)]
    for user_agent in (FIREFOX, EDGE, LINUX_FIREFOX):
        alice.log_in(user_agent)
    assert _told() == [session.pk for session in new]
    user, session, _, _ = reported[0]
    assert (user.pk, session.user_agent) == (alice.user.pk, EDGE)


def test_first_session_ever_is_not_from_a_new_device(alice: Person, make_user: MakeUser) -> None:
    """There is nothing to compare it with; another user's sessions don't count."""
    bob = Person(make_user("bob"))
    bob.log_in(FIREFOX)
    alice.now = bob.now
    alice.log_in(EDGE)
    alice.log_in(EDGE)
    bob.log_in(FIREFOX)
    assert not reported


def test_update_of_a_browser_is_not_a_new_device(alice: Person) -> None:
    alice.log_in(FIREFOX)
    alice.log_in(NEXT_FIREFOX)
    assert not reported


@pytest.mark.parametrize("known", [UNKNOWN, ""])
def test_user_agents_without_a_name_are_compared_as_a_whole(alice: Person, known: str) -> None:
    """So the same client is known, and its next version isn't."""
    alice.log_in(FIREFOX)
    session = alice.log_in(known)
    alice.log_in(known)
    other = alice.log_in(f"{UNKNOWN} either")
    assert _told() == [session.pk, other.pk]


@pytest.fixture
def _no_ua_parser(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "ua_parser", None)
    parse_device.cache_clear()
    yield
    parse_device.cache_clear()


@pytest.mark.usefixtures("_no_ua_parser")
def test_without_ua_parser_whole_user_agents_are_compared(alice: Person) -> None:
    """An update looks like a new device; check W111 warns of that."""
    alice.log_in(FIREFOX)
    alice.log_in(FIREFOX)
    update = alice.log_in(NEXT_FIREFOX)
    assert _told() == [update.pk]


def test_sessions_that_have_ended_still_count(alice: Person) -> None:
    """A known device stays known after a logout, as long as the row is there."""
    first = alice.log_in(FIREFOX)
    alice.log_in(EDGE)
    flows.end_session(first.pk, reason=Reason.LOGOUT, client=None, now=alice.now)
    reported.clear()
    alice.log_in(FIREFOX)
    assert not reported
    first.delete()
    RefreshTokenFamily.objects.filter(user_agent=FIREFOX).delete()
    alice.log_in(FIREFOX)
    assert len(reported) == 1


def test_only_sessions_that_were_opened_before_count(alice: Person) -> None:
    """Two logins of a thief at the same time don't vouch for each other, and late is not never."""
    alice.log_in(FIREFOX)
    alice.now += timedelta(hours=1)
    stolen = []
    for _ in range(2):
        alice.now -= timedelta(hours=1)
        stolen.append(alice.log_in(EDGE))
    assert _told() == [session.pk for session in stolen]
    reported.clear()
    alice.log_in(EDGE)
    report_new_device(user_id=str(alice.user.pk), session_id=str(stolen[0].pk))
    assert _told() == [stolen[0].pk]


def test_login_after_a_password_reset_is_compared_as_well(alice: Person) -> None:
    """The user's devices stay known, although their sessions have ended."""
    alice.log_in(FIREFOX)
    alice.user.set_password("another staple, another horse")
    alice.user.save()
    alice.user = type(alice.user)._default_manager.get(pk=alice.user.pk)
    alice.log_in(FIREFOX)
    assert not reported
    alice.log_in(EDGE)
    assert len(reported) == 1


def test_password_change_is_no_new_device(alice: Person, password: str) -> None:
    """The session that it opens is on the device of the one that it ends."""
    family = alice.log_in(FIREFOX)
    flows.change_password(
        alice.user,
        old_password=password,
        new_password="another staple, another horse",
        client=Client(ip_address="192.0.2.7", user_agent=FIREFOX),
        now=alice.now + timedelta(hours=1),
        session_id=family.pk,
    )
    assert RefreshTokenFamily.objects.count() == 2
    assert not reported


@pytest.mark.parametrize("gone", ["session", "user", "inactive", "other user"])
def test_late_comparison_finds_nobody_to_tell(
    alice: Person, make_user: MakeUser, gone: str, settings: Settings
) -> None:
    """In a task queue, much can happen before it runs."""
    settings.JWT_AUTH_NEW_DEVICE_HOOK = None
    alice.log_in(FIREFOX)
    session, user_id = alice.log_in(EDGE), str(alice.user.pk)
    settings.JWT_AUTH_NEW_DEVICE_HOOK = f"{__name__}.report"
    if gone == "session":
        session = RefreshTokenFamily(pk=uuid4())
    elif gone == "user":
        alice.user.delete()
    elif gone == "inactive":
        alice.user.is_active = False
        alice.user.save()
    else:
        user_id = str(make_user("bob").pk)
    report_new_device(user_id=user_id, session_id=str(session.pk))
    assert not reported


def test_hidden_user_is_not_told(alice: Person, hidden: set[Any], settings: Settings) -> None:
    """The default manager may hide a user who is deleted softly, or another tenant's."""
    settings.JWT_AUTH_NEW_DEVICE_HOOK = None
    alice.log_in(FIREFOX)
    session = alice.log_in(EDGE)
    settings.JWT_AUTH_NEW_DEVICE_HOOK = f"{__name__}.report"
    hidden.add(alice.user.pk)
    report_new_device(user_id=str(alice.user.pk), session_id=str(session.pk))
    assert not reported


def test_hook_that_was_taken_out_meanwhile_is_not_called(alice: Person, settings: Settings) -> None:
    settings.JWT_AUTH_NEW_DEVICE_HOOK = None
    alice.log_in(FIREFOX)
    session = alice.log_in(EDGE)
    report_new_device(user_id=str(alice.user.pk), session_id=str(session.pk))
    assert not reported


def test_user_agents_of_the_newest_sessions_are_compared(alice: Person) -> None:
    """Two hundred of them: nobody can make a comparison take long."""
    alice.log_in(EDGE)
    family = alice.log_in(FIREFOX)
    made_up = []
    for number in range(199):
        made = copy(family)
        made.pk, made.user_agent = uuid4(), f"made up {number}"
        made.created_at += timedelta(seconds=number + 1)
        made_up.append(made)
    RefreshTokenFamily.objects.bulk_create(made_up)
    reported.clear()
    alice.log_in(FIREFOX)
    assert not reported
    session = alice.log_in(EDGE)
    assert _told() == [session.pk]


def test_login_costs_no_more_statements(
    alice: Person, settings: Settings, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """The comparison is not the request's work: only its dispatch is."""
    settings.JWT_AUTH_MAIL_DISPATCHER = f"{__name__}.hold"
    settings.JWT_AUTH_NEW_DEVICE_HOOK = None
    alice.log_in(FIREFOX)
    with CaptureQueriesContext(connection) as statements:
        alice.log_in(EDGE)
    assert not held
    settings.JWT_AUTH_NEW_DEVICE_HOOK = f"{__name__}.report"
    with django_assert_num_queries(len(statements)), translation.override("de"):
        session = alice.log_in(LINUX_FIREFOX)
    with translation.override(None):
        alice.log_in(LINUX_FIREFOX)
    expected = {"user_id": str(alice.user.pk), "session_id": str(session.pk), "language": "de"}
    assert held[0] == ("new_device", expected)
    assert held[1][1]["language"] == ""


#: What a dispatcher was handed.
held: list[tuple[str, dict[str, str]]] = []


def hold(kind: str, **arguments: str) -> None:
    """Dispatch as a task queue whose worker is away."""
    held.append((kind, arguments))


def test_endpoint_and_open_session_report_in_the_language_of_the_request(
    user: AbstractBaseUser, credentials: dict[str, str]
) -> None:
    """Every login counts, whoever has authenticated the user."""
    Site(HTTP_USER_AGENT=FIREFOX).post("login/", credentials)
    french = Site(HTTP_USER_AGENT=EDGE, HTTP_ACCEPT_LANGUAGE="fr")
    assert french.post("login/", credentials).status_code == 200
    request = RequestFactory().get("/", headers={"User-Agent": LINUX_FIREFOX})
    with translation.override("de"):
        open_session(request, HttpResponse(), user)
    found = [(session.user_agent, language) for _, session, language, _ in reported]
    assert found == [(EDGE, "fr"), (LINUX_FIREFOX, "de")]


def test_failing_hook_fails_no_login(
    alice: Person, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the error's class; its text may show an address."""
    settings.JWT_AUTH_NEW_DEVICE_HOOK = f"{__name__}.fail"
    alice.log_in(FIREFOX)
    logger = logging.getLogger("jwt_auth")
    logger.addHandler(caplog.handler)
    try:
        session = alice.log_in(EDGE)
    finally:
        logger.removeHandler(caplog.handler)
    assert _told() == [session.pk]
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "new_device" in record.getMessage()
    assert "RuntimeError" in record.getMessage()
    assert "telephone" not in caplog.text


@pytest.mark.django_db(transaction=True)
def test_login_waits_neither_for_the_comparison_nor_for_the_hook(
    alice: Person, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread does both, after the commit of the login, and not at all after a rollback."""
    monkeypatch.setattr(background, "_DELAY", (0, 0))
    settings.JWT_AUTH_MAIL_DISPATCHER = "jwt_auth.mail.dispatch.in_thread"
    settings.JWT_AUTH_NEW_DEVICE_HOOK = f"{__name__}.hang"
    alice.log_in(FIREFOX)
    try:
        with transaction.atomic():
            alice.log_in(EDGE)
            transaction.set_rollback(True)
        with transaction.atomic():
            session = alice.log_in(EDGE)
        assert not reported
    finally:
        gate.set()
        assert queue.flush(60)
    assert _told() == [session.pk]
    assert reported[0][3] != get_ident()
