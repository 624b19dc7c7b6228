"""Mail servers that don't do what they should, and settings that name a server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import django
from aiosmtpd.smtp import SMTP, Envelope, Session
from pytest_django import Settings

from tests.mailbox import HOST, Mailbox

SMTP_BACKEND = "django.core.mail.backends.smtp.EmailBackend"


def use_server(settings: Settings, port: int, *, timeout: float = 60) -> None:
    """Have Django send its mail there; from 6.1 on, one setting has what several had before."""
    options = {"host": HOST, "port": port, "timeout": timeout}
    use_mailer(settings, SMTP_BACKEND, options)


def use_mailer(settings: Settings, backend: str, options: dict[str, object]) -> None:
    """Name the backend, and for SMTP the options that connect to its server."""
    if django.VERSION >= (6, 1):
        settings.MAILERS = {"default": {"BACKEND": backend, "OPTIONS": options}}
        return
    settings.EMAIL_BACKEND = backend
    for name, value in options.items():
        setattr(settings, f"EMAIL_{name.upper()}", value)


class RefusingMailbox(Mailbox):
    """Knows nobody."""

    async def handle_RCPT(  # noqa: N802  aiosmtpd calls it by this name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        return f"550 5.1.1 <{address}>: Recipient address rejected"


class ForgetfulMailbox(Mailbox):
    """Doesn't know the first recipient that it is told, and then knows everyone."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: list[str] = []

    async def handle_RCPT(  # noqa: N802  aiosmtpd calls it by this name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if not self.refused:
            self.refused.append(address)
            return f"550 5.1.1 <{address}>: Recipient address rejected"
        envelope.rcpt_tos.append(address)
        return "250 OK"


class ClosingMailbox(Mailbox):
    """Hangs up when it has been given the message."""

    async def handle_DATA(  # noqa: N802  aiosmtpd calls it by this name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        assert server.transport is not None
        server.transport.close()
        return "421 Gone"


class FullMailbox(Mailbox):
    """Refuses the message, and quotes its recipient."""

    async def handle_DATA(  # noqa: N802  aiosmtpd calls it by this name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        return f"552 5.2.2 <{envelope.rcpt_tos[0]}>: Mailbox full"


@contextmanager
def running(mailbox: Mailbox) -> Iterator[int]:
    """Start a server, and give its port."""
    mailbox.start()
    try:
        yield mailbox.port
    finally:
        mailbox.stop()


@contextmanager
def silent() -> Iterator[int]:
    """Accept connections, and never say a word."""
    with socket.create_server((HOST, 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def closed() -> Iterator[int]:
    """Give a port on which nothing listens."""
    with socket.socket() as holder:
        holder.bind((HOST, 0))  # without listen(): a connection is refused, and nobody has the port
        yield holder.getsockname()[1]
