"""A message is in one language, from its subject to its last line, and arrives as written."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from pytest_django import Settings

from jwt_auth.mail import deliver
from tests.flows.scene import BROWSER, STRANGER, log_in
from tests.mailbox import Mail, Mailbox

pytestmark = [pytest.mark.smoke, pytest.mark.django_db]

KINDS = ("password_reset", "email_confirmation", "new_device")
LANGUAGES = ("de", "es", "fr", "ja", "zh-hans")

Send = Callable[[str, str], Mail]


@pytest.fixture
def send(mailbox: Mailbox, user: AbstractBaseUser, settings: Settings) -> Send:
    """Send a message of a kind in a language, and read it from the mail server."""
    log_in(user, client=BROWSER)
    session = log_in(user, client=STRANGER).family
    settings.JWT_AUTH_NEW_DEVICE_HOOK = "jwt_auth.mail.new_device.send_notice"
    arguments: dict[str, dict[str, str]] = {
        "password_reset": {"address": "alice@example.com"},
        "email_confirmation": {"user_id": str(user.pk)},
        "new_device": {"user_id": str(user.pk), "session_id": str(session.pk)},
    }

    def send(kind: str, language: str) -> Mail:
        deliver(kind, **arguments[kind], language=language)
        return mailbox.mails[-1]

    return send


def _sentences(text: str) -> set[str]:
    """The lines for people: without tags, links and names."""
    lines = re.sub(r"<style.*?</style>|<[^>]+>", "\n", text, flags=re.DOTALL).splitlines()
    return {line.strip() for line in lines if " " in line.strip() and "://" not in line}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_message_is_in_one_language(kind: str, language: str, send: Send) -> None:
    """No line of the text or the HTML is in English, and the HTML names the language."""
    english, sent = send(kind, "en"), send(kind, language)
    for told, original in ((sent.text, english.text), (sent.html, english.html)):
        assert len(_sentences(told)) >= 3
        assert not _sentences(told) & _sentences(original)
        assert "%(" not in told
    assert f'<html lang="{language}"' in sent.html


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_subject_arrives_as_written(kind: str, language: str, send: Send) -> None:
    """Every server on the way may be old: the header is ASCII in short lines (RFC 2047)."""
    sent = send(kind, language)
    headers = sent.message.as_bytes().partition(b"\n\n")[0]
    assert headers.isascii()
    assert max(map(len, headers.splitlines())) <= 78
    # Django begins a long subject on the second line of the header.
    subject = sent.message["Subject"].lstrip()
    assert not subject.isascii() or language in {"de", "fr"}
    assert f"<title>{subject}</title>" in sent.html
    texts = [part for part in sent.message.walk() if part.get_content_maintype() == "text"]
    assert {part.get_content_charset() for part in texts} == {"utf-8"}
