"""A message from three templates that a project may replace: the subject, the text and the HTML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils.text import Truncator

from jwt_auth.users import address_of

#: No one wrote the message (RFC 3834 §5), so no holiday notice answers it. The second header says
#: the same to Microsoft Exchange.
_HEADERS: Final = {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"}

#: What the names of a kind's three templates end with.
PARTS: Final = ("subject.txt", "body.txt", "body.html")

#: Characters of a user's name in a message. A stranger can register a name for someone else's
#: address, and must not be able to write them a letter with it.
_NAME_LENGTH: Final = 64


def template_name(kind: str, part: str) -> str:
    return f"jwt_auth/mail/{kind}_{part}"


def send(kind: str, user: AbstractBaseUser, context: Mapping[str, Any]) -> None:
    """Compose a message in the active language, and send it to the user's stored address."""
    name = Truncator(_in_one_line(user.get_username())).chars(_NAME_LENGTH)
    known = {"user": user, "name": name, **context}
    subject, text, html = (render_to_string(template_name(kind, part), known) for part in PARTS)
    message = EmailMultiAlternatives(
        subject=_in_one_line(subject),
        body=text.strip() + "\n",
        to=[address_of(user)],
        headers=_HEADERS,
    )
    if html.strip():
        message.attach_alternative(html, "text/html")
    message.send()


def _in_one_line(text: str) -> str:
    # A newline would end a header, or begin a line of the message.
    return " ".join(text.split())


def site_context(url: str) -> dict[str, str]:
    """Name the site by the address of a page, never by the ``Host`` header of a request."""
    parts = urlsplit(url)
    return {"site": parts.hostname or "", "site_url": f"{parts.scheme}://{parts.netloc}/"}
