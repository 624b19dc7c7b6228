"""``manage.py rewrap_keys``: encrypt the ring of the database store under another key."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from jwt_auth.exceptions import KeyFailure
from jwt_auth.keys import cache
from jwt_auth.keys.stores.base import get_key_store, load_ring, save_ring
from jwt_auth.keys.stores.database import DatabaseKeyStore


class Command(BaseCommand):
    help = "Encrypts the key ring in the database under the first of the key-encryption keys."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would be done")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            store = get_key_store()
            if not isinstance(store, DatabaseKeyStore):
                raise CommandError(
                    "Only jwt_auth.keys.stores.database.DatabaseKeyStore encrypts the ring,"
                    " and JWT_AUTH_KEY_STORE is another one."
                )
            self._rewrap(store, dry_run=options["dry_run"])
        except (KeyFailure, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error

    def _rewrap(self, store: DatabaseKeyStore, *, dry_run: bool) -> None:
        first, *others = store.key_encryption_keys()
        # Loaded in any case: whoever drops the other keys then knows that the first one decrypts.
        ring = load_ring(store)
        if store.is_wrapped():
            self._say(f"The key ring is encrypted under {first} already. Nothing was changed.")
        elif dry_run:
            self._say(f"The key ring would be encrypted under {first}.")
            return
        else:
            # A version of its own, so that of this and a rotation at the same time one starts anew.
            save_ring(store, replace(ring, version=ring.version + 1), expected_version=ring.version)
            cache.reset()
            self._say(f"The key ring was encrypted under {first}.")
        if others:
            self._say(
                f"Once every node has {first} first, and no backup is needed that was made before,"
                f" {', '.join(others)} can go."
            )

    def _say(self, sentence: str) -> None:
        self.stdout.write(sentence)
