"""Messages with a link, read from a mail server: who gets them, and what is in them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core import mail
from django.db import connection
from pytest_django import Settings

from jwt_auth import flows
from jwt_auth.exceptions import MailNotSent
from jwt_auth.mail import deliver
from tests.conftest import MakeUser
from tests.http.site import Site
from tests.mailbox import Mailbox

pytestmark = [pytest.mark.smoke, pytest.mark.sql, pytest.mark.user_model]

ADDRESS = "alice@example.com"

#: Of mike@example.com.
LOOKALIKES = [
    "m\N{LATIN SMALL LETTER DOTLESS I}ke@example.com",
    "míke@example.com",
    "mike@exampłe.com",
]


def _token(link: str) -> str:
    return link.partition("#token=")[2]


def _recipients() -> list[str]:
    return [recipient for message in mail.outbox for recipient in message.to]


def test_link_sets_a_new_password(mailbox: Mailbox, user: AbstractBaseUser) -> None:
    """Once: text and HTML have the same link, and it is the page of the setting."""
    deliver("password_reset", address=ADDRESS, language="en")
    (sent,) = mailbox.to(ADDRESS)
    assert sent.link.startswith("https://app.example.com/reset#token=")
    password = "another staple, another horse"
    flows.reset_password(_token(sent.link), new_password=password, now=datetime.now(UTC))
    user.refresh_from_db()
    assert user.check_password(password)


def test_link_confirms_the_address(mailbox: Mailbox, user: AbstractBaseUser) -> None:
    """The one to which it was sent."""
    deliver("email_confirmation", user_id=str(user.pk), language="en")
    (sent,) = mailbox.to(ADDRESS)
    assert sent.link.startswith("https://app.example.com/confirm#token=")
    flows.confirm_address(_token(sent.link), now=datetime.now(UTC))
    assert flows.is_email_confirmed(user)


@pytest.mark.parametrize("kind", ["password_reset", "email_confirmation"])
def test_message_says_what_it_is(
    kind: str, mailbox: Mailbox, user: AbstractBaseUser, settings: Settings
) -> None:
    """Who sent it and why, how long the link lives, and that no program should answer it."""
    settings.DEFAULT_FROM_EMAIL = "Example <accounts@example.com>"
    given = {"address": ADDRESS} if kind == "password_reset" else {"user_id": str(user.pk)}
    deliver(kind, **given, language="en")
    (sent,) = mailbox.mails
    message = sent.message
    assert message["From"] == "Example <accounts@example.com>"
    assert message["To"] == ADDRESS
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Subject"].endswith(" for app.example.com")
    lifetime = "1 hour" if kind == "password_reset" else "1 day"
    for text in (sent.text, sent.html):
        assert f"valid for {lifetime}." in text
        assert "ignore this message" in text
        assert "app.example.com" in text


def test_message_is_in_the_language_that_was_asked_for(mailbox: Mailbox, user: Any) -> None:
    """Django knows durations in all its languages. An unknown language is the site's."""
    for language, text in (("de", "1 Stunde"), ("xx", "1 hour"), ("", "1 hour")):
        deliver("password_reset", address=ADDRESS, language=language)
        sent = mailbox.mails[-1]
        assert text in sent.text
        assert text in sent.html
        assert f'lang="{language if language == "de" else "en"}"' in sent.html


@pytest.mark.usefixtures("links")
def test_message_goes_to_the_stored_address(make_user: MakeUser) -> None:
    """However the typed one is spelled, because its spelling may be another mailbox."""
    make_user(email="Alice@example.com")
    deliver("password_reset", address="aLICE@EXAMPLE.com")
    assert _recipients() == ["Alice@example.com"]


@pytest.mark.usefixtures("links")
@pytest.mark.parametrize(
    "typed",
    ["m\N{LATIN SMALL LETTER DOTLESS I}ke@example.com", "míke@example.com", "mike@exampłe.com"],
)
def test_address_that_only_looks_alike_gets_nothing(make_user: MakeUser, typed: str) -> None:
    """Although a database may take the two for equal (CVE-2019-19844)."""
    make_user("mike", email="mike@example.com")
    deliver("password_reset", address=typed)
    assert not mail.outbox


@pytest.mark.usefixtures("links")
def test_user_who_can_not_log_in_gets_no_link(make_user: MakeUser, hidden: set[Any]) -> None:
    """Inactive, without a password, or hidden by the default manager."""
    make_user("inactive", is_active=False)
    make_user("passwordless", password=None)
    invisible = make_user("invisible")
    hidden.add(invisible.pk)
    for name in ("inactive", "passwordless", "invisible", "nobody"):
        deliver("password_reset", address=f"{name}@example.com")
    assert not mail.outbox


@pytest.mark.usefixtures("links")
def test_confirmation_of_a_user_who_is_gone_is_not_sent(
    make_user: MakeUser, tokens: list[str]
) -> None:
    """Inactive or deleted in the meantime, or without an address."""
    inactive = make_user("inactive", is_active=False)
    gone = make_user("gone")
    gone_id = str(gone.pk)
    gone.delete()
    for user_id in (str(inactive.pk), gone_id):
        deliver("email_confirmation", user_id=user_id)
    if get_user_model().USERNAME_FIELD != "email":
        deliver("email_confirmation", user_id=str(make_user("addressless", email="").pk))
    assert not mail.outbox
    assert not tokens


def _sharing(make_user: MakeUser, number: int) -> list[AbstractBaseUser]:
    """Make users with one address, in several spellings where it has to be unique."""
    letters = "share"
    return [
        make_user(
            f"user{n}",
            email="".join(c.upper() if n >> i & 1 else c for i, c in enumerate(letters))
            + "@example.com",
        )
        for n in range(number)
    ]


def _require_case() -> None:
    if connection.vendor == "mysql" and get_user_model()._meta.get_field("email").unique:
        pytest.skip("this address is unique whatever its case, so nobody can share it")


@pytest.mark.usefixtures("links")
def test_users_who_share_an_address_get_a_link_each(make_user: MakeUser) -> None:
    """As from Django's own form. Each message says which account it is about."""
    _require_case()
    users = _sharing(make_user, 2)
    deliver("password_reset", address="share@example.com", language="en")
    bodies = [str(message.body) for message in mail.outbox]
    assert len(bodies) == 2
    for user in users:
        assert sum(f": {user.get_username()}\n" in body for body in bodies) == 1


@pytest.mark.usefixtures("links")
def test_mailbox_gets_no_more_links_than_its_rate(make_user: MakeUser, settings: Settings) -> None:
    """However many accounts a stranger has registered for it; the confirmed one comes first."""
    _require_case()
    settings.JWT_AUTH_THROTTLE_RATES = {"mailbox": "3/hour"}
    *_, owner = _sharing(make_user, 5)
    token = flows.issue_one_time_token(
        owner,
        purpose="email_confirmation",
        lifetime=timedelta(hours=1),
        now=datetime.now(UTC),
    )
    flows.confirm_address(token, now=datetime.now(UTC))
    deliver("password_reset", address="share@example.com", language="en")
    assert len(mail.outbox) == 3
    assert f": {owner.get_username()}\n" in str(mail.outbox[0].body)


@pytest.mark.usefixtures("links")
def test_confirmations_do_not_use_up_the_resets(make_user: MakeUser, settings: Settings) -> None:
    """A stranger who has registered someone's address must not keep their way back from them."""
    _require_case()
    settings.JWT_AUTH_THROTTLE_RATES = {"mailbox": "2/hour"}
    owner, *strangers = _sharing(make_user, 4)
    for stranger in strangers:
        deliver("email_confirmation", user_id=str(stranger.pk))
    assert len(mail.outbox) == 2
    deliver("password_reset", address=owner.email)  # type: ignore[attr-defined]  # all have one
    assert len(mail.outbox) == 4


@pytest.mark.usefixtures("links")
def test_name_can_write_neither_headers_nor_markup(make_user: MakeUser) -> None:
    """A stranger chooses the name, and someone else reads the message."""
    model = get_user_model()
    if model.USERNAME_FIELD == "email":
        pytest.skip("the name is an address here")
    name = '<a href="https://evil.example">\nBcc: eve@example.com\n\nDear customer, ' + "pay " * 9
    make_user(name[:80])  # as many as the shortest of the tests' models allows
    model._default_manager.update(email=ADDRESS)
    deliver("password_reset", address=ADDRESS, language="en")
    (sent,) = mail.outbox
    html = str(sent.alternatives[0][0])  # type: ignore[union-attr]  # always with HTML
    assert "&lt;a href=" in html
    assert len(re.findall("<a ", html)) == 1
    assert "\n" not in str(sent.subject)
    assert "\nBcc" not in str(sent.body)
    assert str(sent.body).endswith("…\n")
    assert sent.message()["Bcc"] is None


def test_link_is_not_made_from_the_host_header(
    mailbox: Mailbox, user: AbstractBaseUser, settings: Settings
) -> None:
    """The client chooses that header, and so could choose who gets the token."""
    settings.ALLOWED_HOSTS = ["*"]
    answer = Site().post("password/reset/", {"email": ADDRESS}, headers={"Host": "evil.example"})
    assert answer.status_code == 202
    (sent,) = mailbox.mails
    assert "evil.example" not in sent.message.as_string()
    assert sent.link.startswith("https://app.example.com/")


def test_message_without_a_page_to_link_to_is_an_error(
    user: AbstractBaseUser, settings: Settings
) -> None:
    """The setting was taken away between the request and the work on it."""
    settings.JWT_AUTH_PASSWORD_RESET_URL = None
    with pytest.raises(MailNotSent, match=r"\(password_reset\).*ImproperlyConfigured"):
        deliver("password_reset", address=ADDRESS)
