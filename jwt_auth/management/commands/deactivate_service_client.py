"""``manage.py deactivate_service_client``: refuse a service from now on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser

from jwt_auth import flows
from jwt_auth.management.base import JWTAuthCommand
from jwt_auth.models import ServiceClient


class Command(JWTAuthCommand):
    help = "Refuses a service client from now on, for good."
    needs_sessions = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help="the name that it was created with")

    def handle(self, *args: Any, **options: Any) -> None:
        service = ServiceClient.objects.deciding().filter(name=options["name"]).first()
        if service is None:
            raise CommandError("There is no service client with this name: check NAME.")
        if flows.deactivate_service_client(service, now=datetime.now(UTC)):
            self.stdout.write("Deactivated the service client.")
        else:
            self.stdout.write("The service client was deactivated before.")
