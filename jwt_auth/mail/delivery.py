"""Compose and send one message: in a thread, in the worker of a task queue, or in a test."""

from __future__ import annotations

from collections.abc import Callable
from smtplib import SMTPRecipientsRefused, SMTPResponseException
from typing import Final

from django.conf import settings
from django.utils import translation
from django.utils.translation import get_supported_language_variant
from django.views.decorators.debug import sensitive_variables

from jwt_auth.exceptions import MailNotSent
from jwt_auth.flows.new_devices import report_new_device
from jwt_auth.mail import email_confirmation, password_reset

#: What composes and sends each kind of message. Its parameters are the kind's arguments.
KINDS: Final[dict[str, Callable[..., None]]] = {
    "password_reset": password_reset.send,
    "email_confirmation": email_confirmation.send,
    "new_device": report_new_device,
}


@sensitive_variables()
def deliver(kind: str, *, language: str = "", **arguments: str) -> None:
    """Compose the message in a language, and send it to everyone whom it concerns.

    An unknown language means ``LANGUAGE_CODE``. A user who is gone or inactive gets no message, and
    that is not an error.

    Raises:
        MailNotSent: it could not be composed or sent. Whether a part of it was sent is unknown, as
            always with email.
    """
    try:
        with translation.override(_supported(language)):
            KINDS[kind](**arguments)
    except Exception as error:  # noqa: BLE001  the text of any of them may show an address
        failure = MailNotSent(kind, describe(error))
    else:
        return
    # Outside of the handler, so that the first error isn't the context of this one: a task queue
    # stores both with their texts.
    raise failure


def describe(error: Exception) -> str:
    """Name an error and the mail server's reply codes; its text may show the address or the link.

    With the codes an operator can look the reply up in the mail server's log.
    """
    codes: list[int] = []
    if isinstance(error, SMTPResponseException):
        codes = [error.smtp_code]
    elif isinstance(error, SMTPRecipientsRefused):
        codes = sorted({code for code, _ in error.recipients.values()})
    return " ".join([type(error).__name__, *map(str, codes)])


def _supported(language: str) -> str:
    try:
        return get_supported_language_variant(language)
    except LookupError:
        return settings.LANGUAGE_CODE
