"""``manage.py generate_keys``: make the key ring with its first key."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from jwt_auth.conf import ALGORITHMS, conf
from jwt_auth.exceptions import KeyRingExists
from jwt_auth.keys import lifecycle
from jwt_auth.keys.stores.base import get_key_store
from jwt_auth.management.base import JWTAuthCommand


class Command(JWTAuthCommand):
    help = "Makes the key ring with its first key, which signs at once."
    needs_private_keys = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--algorithm", metavar="A", help=", ".join(ALGORITHMS))

    def handle(self, *args: Any, **options: Any) -> None:
        algorithm = options["algorithm"] or conf.algorithm
        if algorithm not in ALGORITHMS:
            raise CommandError(f"The algorithm must be one of {', '.join(ALGORITHMS)}.")
        store = get_key_store()
        try:
            key = lifecycle.make_first(store, algorithm=algorithm)
        except KeyRingExists:
            raise CommandError(
                f"There is a key ring already, in {store.describe()}: run"
                " `manage.py rotate_keys` for the next key."
            ) from None
        if options["verbosity"]:
            self.stdout.write(
                f"Made key {key.kid} ({key.algorithm}) in {store.describe()}. It signs at once."
            )
