"""A mail server on a free port, and what it has been given."""

from __future__ import annotations

import email
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import default
from html import unescape
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

HOST = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Mail:
    """A message as its recipient reads it."""

    recipient: str
    message: EmailMessage

    @property
    def text(self) -> str:
        """The part for programs that show no HTML."""
        return self._part("plain")

    @property
    def html(self) -> str:
        """The other part."""
        return self._part("html")

    @property
    def link(self) -> str:
        """The link, which both parts have."""
        [link] = re.findall(r"https?://\S+", self.text)
        linked = {unescape(found) for found in re.findall(r'href="(http[^"]+)"', self.html)}
        assert linked == {link}
        return str(link)

    def _part(self, subtype: str) -> str:
        part = self.message.get_body((subtype,))
        assert part is not None
        return str(part.get_content())


class Mailbox(Controller):
    """A server that takes every mail and keeps it."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self._listener = socket.create_server((HOST, 0))
        super().__init__(self, hostname=HOST, port=self._listener.getsockname()[1])

    def _create_server(self) -> Any:
        # On the socket that is already open: nobody can take the port in between.
        return self.loop.create_server(self._factory_invoker, sock=self._listener)

    async def handle_DATA(  # noqa: N802  aiosmtpd calls it by this name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        assert isinstance(envelope.content, bytes)
        message = email.message_from_bytes(envelope.content, policy=default)
        for recipient in envelope.rcpt_tos:
            self.mails.append(Mail(recipient=recipient, message=message))
        return "250 Kept"

    def to(self, recipient: str) -> list[Mail]:
        """List the mails to an address, the oldest first."""
        return [mail for mail in self.mails if mail.recipient == recipient]


@contextmanager
def serve() -> Iterator[Mailbox]:
    """Start a mail server, and stop it at the end."""
    mailbox = Mailbox()
    mailbox.start()
    try:
        yield mailbox
    finally:
        mailbox.stop()
