"""``manage.py rewrap_keys``: encrypt the database store's key ring under another key."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.core.management.base import CommandError, CommandParser

from jwt_auth.keys import cache
from jwt_auth.keys.stores.base import get_key_store, load_ring, save_ring
from jwt_auth.keys.stores.database import DatabaseKeyStore
from jwt_auth.management.base import JWTAuthCommand


class Command(JWTAuthCommand):
    help = "Encrypts the key ring in the database under the first of the key-encryption keys."
    needs_private_keys = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would be done")

    def handle(self, *args: Any, **options: Any) -> None:
        store = get_key_store()
        if not isinstance(store, DatabaseKeyStore):
            raise CommandError(
                "JWT_AUTH_KEY_STORE is not the database store, so there is nothing to encrypt"
                " again: this command is for jwt_auth.keys.stores.database.DatabaseKeyStore only."
            )
        self._rewrap(store, dry_run=options["dry_run"])

    def _rewrap(self, store: DatabaseKeyStore, *, dry_run: bool) -> None:
        first, *others = store.key_encryption_keys()
        # Load the ring even if it is wrapped already: the message below lets the operator drop
        # the other keys, and that is safe only if the first key decrypts the ring.
        ring = load_ring(store)
        if store.is_wrapped():
            self._say(f"The key ring is encrypted under {first} already. Nothing was changed.")
        elif dry_run:
            self._say(f"The key ring would be encrypted under {first}.")
            return
        else:
            # With a new version, so that a rotation at the same time conflicts with this change
            # and one of the two starts again, instead of overwriting the other.
            save_ring(store, replace(ring, version=ring.version + 1), expected_version=ring.version)
            cache.reset()
            self._say(f"The key ring was encrypted under {first}.")
        if others:
            self._say(
                f"Remove {', '.join(others)} once every node lists {first} first and no backup"
                " from before this change is needed any more."
            )

    def _say(self, sentence: str) -> None:
        self.stdout.write(sentence)
