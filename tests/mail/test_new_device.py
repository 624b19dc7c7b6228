"""The notice of a login on a new device, read from a mail server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.core import mail
from pytest_django import Settings

from jwt_auth.mail.new_device import send_notice
from jwt_auth.models import Client
from tests.conftest import MakeUser
from tests.flows.scene import BROWSER, log_in, row_of
from tests.mailbox import Mailbox

pytestmark = [pytest.mark.smoke, pytest.mark.user_model]

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
WHEN = datetime(2026, 11, 30, 4, 5, tzinfo=UTC)


def _session(user: Any, **client: Any) -> Any:
    client = {"ip_address": "203.0.113.77", "user_agent": FIREFOX, **client}
    return row_of(log_in(user, client=Client(**client), now=WHEN))


def test_login_on_a_new_device_is_mailed(
    mailbox: Mailbox, user: AbstractBaseUser, settings: Settings
) -> None:
    """By the hook: device, time and network, what to do, and no token."""
    settings.JWT_AUTH_NEW_DEVICE_HOOK = "jwt_auth.mail.new_device.send_notice"
    log_in(user, client=BROWSER, now=datetime(2026, 11, 29, tzinfo=UTC))
    session = _session(user)
    (sent,) = mailbox.to("alice@example.com")
    for text in (sent.text, sent.html):
        for said in ("Firefox on Linux", "Nov. 30, 2026, 4:05 a.m. UTC", "203.0.113.0/24"):
            assert said in text
        assert "Change it now" in text
    assert "203.0.113.77" not in sent.message.as_string()
    assert str(session.pk) not in sent.message.as_string()
    assert sent.link == "https://app.example.com/"


@pytest.mark.parametrize(
    ("address", "network"),
    [("2001:db8:1:2::3", "2001:db8:1::/48"), (None, "Network: unknown")],
)
def test_network_is_coarse(
    address: str | None, network: str, links: None, user: AbstractBaseUser
) -> None:
    """An exact address would tell a reader of the mailbox where the user is."""
    send_notice(user, _session(user, ip_address=address, user_agent=""))
    (sent,) = mail.outbox
    assert network in str(sent.body)
    assert "Device: unknown" in str(sent.body)


@pytest.mark.parametrize("issuer", ["https://auth.example.org", "auth.example.org"])
def test_site_without_pages_is_named_by_its_issuer(
    issuer: str, user: AbstractBaseUser, settings: Settings
) -> None:
    """Its host may have no page for people, so there is no link."""
    settings.JWT_AUTH_PASSWORD_RESET_URL = settings.JWT_AUTH_EMAIL_CONFIRMATION_URL = None
    settings.JWT_AUTH_ISSUER = issuer
    send_notice(user, _session(user))
    (sent,) = mail.outbox
    assert str(sent.subject).endswith(" auth.example.org")
    assert "://" not in str(sent.body)


def test_user_without_an_address_gets_no_notice(make_user: MakeUser) -> None:
    """There is nowhere to send it, and that is no error."""
    user: Any = make_user()
    user.email = ""
    send_notice(user, _session(user))
    assert not mail.outbox
