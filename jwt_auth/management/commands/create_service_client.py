"""``manage.py create_service_client``: give another service an id and a secret."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

from django.core.management.base import CommandError, CommandParser

from jwt_auth import flows
from jwt_auth.exceptions import HasherMissing, ServiceNameTaken
from jwt_auth.management.base import JWTAuthCommand
from jwt_auth.models import SERVICE_NAME_LENGTH

_FORMATS: Final = ("text", "json")


class Command(JWTAuthCommand):
    help = "Creates a service client and prints its secret, which can't be shown again."
    needs_sessions = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help="a name for the service, such as gateway")
        parser.add_argument("--format", default="text", help=" or ".join(_FORMATS))

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"]
        if options["format"] not in _FORMATS:
            raise CommandError(f"The format must be {' or '.join(_FORMATS)}.")
        if not 0 < len(name) <= SERVICE_NAME_LENGTH or not name.isprintable():
            raise CommandError(f"A name has 1 to {SERVICE_NAME_LENGTH} printable characters.")
        try:
            service, secret = flows.create_service_client(name, now=datetime.now(UTC))
        except (HasherMissing, ServiceNameTaken) as error:
            raise CommandError(str(error)) from None
        shown = {"client_id": str(service.pk), "client_secret": secret}
        if options["format"] == "json":
            self.stdout.write(json.dumps(shown, indent=2))
        else:
            self.stdout.write("\n".join(f"{name}: {value}" for name, value in shown.items()))
