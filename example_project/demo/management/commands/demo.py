"""``manage.py demo``: set up the example and serve it."""

import os
import socket
from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.core.management.base import CommandError

from example_project.demo.accounts import ACCOUNTS, PASSWORD, Account
from jwt_auth.exceptions import KeyRingMissing
from jwt_auth.keys.stores.base import get_key_store, load_ring
from jwt_auth.management.base import JWTAuthCommand

HOST = "127.0.0.1"
#: Without `--port`, the first of these that is free.
PORTS = range(8000, 8010)

MESSAGE = """
  Page    {address}/
  Log in  demo / {password}   (demo-admin / {password}: role admin, and {address}/admin/)

  Mail    {mail}

  curl -c jar {address}/api/auth/login/ -d username=demo -d password={password}
  curl {address}/api/hello/ -H "Authorization: Bearer <access_token from above>"
  curl -c jar -b jar -X POST {address}/api/auth/refresh/

  README.md goes on from here.
"""


class Command(JWTAuthCommand):
    """Make the database, the key ring and two users, then run the development server."""

    help = "Sets up a SQLite database, a key ring and two users, and serves the example."
    # The checks run after the setup: before it, they would report a missing key ring.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the port, and the option not to serve."""
        parser.add_argument(
            "--port", type=int, help=f"Port on {HOST} (the first free one from {PORTS[0]} on)."
        )
        parser.add_argument("--no-serve", action="store_true", help="Stop before serving.")

    def handle(self, *_args: Any, port: int | None, no_serve: bool, **_options: Any) -> None:
        """Set up what is missing, then serve."""
        if not settings.DEBUG:
            # The demo creates accounts with a published password, one of them a superuser.
            raise CommandError("The demo runs only with DEBUG on: set DEBUG=1.")
        if settings.DATA_DIR.exists() and not os.access(settings.DATA_DIR, os.W_OK):
            raise CommandError(
                f"The demo can't write to {settings.DATA_DIR}: set EXAMPLE_DATA_DIR to a folder"
                " that you can write to."
            )
        ports = PORTS if port is None else [port]
        wanted = ports[0]
        port = wanted if no_serve else find_free_port(ports)
        if port != wanted:
            self.stdout.write(f"Another program uses port {wanted}.")
        call_command("migrate", verbosity=0)
        make_key_ring()
        for account in ACCOUNTS:
            make_user(account)
        self.check()
        address = f"http://{HOST}:{port}"
        point_links_to(f"{address}/")
        mail = "demo@example.test gets it here" if settings.PRINTS_MAIL else "goes to EMAIL_HOST"
        self.stdout.write(MESSAGE.format(address=address, password=PASSWORD, mail=mail))
        self.stdout.flush()  # the server never ends
        if not no_serve:
            # The reloader would run this command a second time, in a child process.
            call_command("runserver", f"{HOST}:{port}", use_reloader=False)


def point_links_to(page: str) -> None:
    """Let the links in mails lead to the port that was found, unless PAGE_URL names a page."""
    if os.environ.get("PAGE_URL"):
        return
    for name in ("JWT_AUTH_PASSWORD_RESET_URL", "JWT_AUTH_EMAIL_CONFIRMATION_URL"):
        if url := getattr(settings, name, None):
            setattr(settings, name, url.replace(settings.PAGE_URL, page))


def find_free_port(ports: Iterable[int]) -> int:
    """Return the first free port.

    Raises:
        CommandError: other processes use the ports, or this one may not.
    """
    problem = ""
    for port in ports:
        problem = find_problem(port)
        if not problem:
            return port
    raise CommandError(
        f'{problem}: choose another one, for example with `make demo ARGS="--port 8123"`.'
    )


def find_problem(port: int) -> str:
    """Say why the port can't be used: the development server would exit without an exception."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            probe.bind((HOST, port))
        except OSError as error:
            return f"Port {port} on {HOST} can't be used ({error.strerror})"
        except OverflowError:
            return f"There is no port {port}"
    return ""


def make_key_ring() -> None:
    """Make a key ring if there isn't one yet.

    Raises:
        KeyFailure: the existing key ring can't be read.
    """
    try:
        load_ring(get_key_store())
    except KeyRingMissing:
        call_command("generate_keys")


def make_user(account: Account) -> None:
    """Create the user, or restore an existing one's fields, groups and password."""
    fields: dict[str, Any] = {
        "email": f"{account.username}@example.test",
        "tenant": account.tenant,
        "is_active": True,
        "is_staff": account.is_administrator,
        "is_superuser": account.is_administrator,
    }
    manager = get_user_model()._default_manager
    user = manager.filter(username=account.username).first()
    if user is None:
        user = manager.create_user(account.username, password=PASSWORD, **fields)
    else:
        for name, value in fields.items():
            setattr(user, name, value)
        if not user.check_password(PASSWORD):  # setting it again would end the user's sessions
            user.set_password(PASSWORD)
        user.save()
    user.groups.set([Group.objects.get_or_create(name=name)[0] for name in account.groups])
