"""Show mails in the terminal, for those who try the example without a mail server."""

from django.core.mail import EmailMessage
from django.core.mail.backends import console


class TerminalBackend(console.EmailBackend):
    """Django's console backend, but with the text as a person reads it.

    Django's own backend prints what goes over the wire. A long line, such as a link with a token,
    may be wrapped there by its encoding, and the link can't be copied.
    """

    def write_message(self, message: EmailMessage) -> None:
        """Print the addresses, the subject and the text."""
        recipients = ", ".join(message.recipients())
        self.stream.write(
            f"\n---- Mail to {recipients}: {message.subject}\n\n{message.body.strip()}\n\n----\n"
        )
