"""``manage.py rotate_keys``: publish the next key, drop expired ones, replace a compromised one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError, CommandParser
from django.db import Error as DatabaseError

from jwt_auth import flows
from jwt_auth.conf import ALGORITHMS, JWKS_MAX_AGE, conf
from jwt_auth.exceptions import KeyFailure, UnknownKey
from jwt_auth.keys import lifecycle
from jwt_auth.keys.changes import Change
from jwt_auth.keys.ring import RingKey
from jwt_auth.keys.signers.base import how_to_end
from jwt_auth.keys.stores.base import KeyStore, get_key_store
from jwt_auth.management.base import JWTAuthCommand, with_notes
from jwt_auth.management.denials import write_pending_denials
from jwt_auth.management.timeline import rotation_due, timestamp
from jwt_auth.models import Reason

#: Advice for when the compromised key may be gone already but its sessions have not been ended.
_END_SESSIONS: Final = "run `manage.py revoke_tokens --all`"


class Command(JWTAuthCommand):
    help = "Publishes the next key, which signs after JWT_AUTH_KEY_PUBLISH_AHEAD."
    needs_private_keys = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--now", action="store_true", help="the new key signs at once")
        parser.add_argument(
            "--if-due",
            action="store_true",
            help="only if JWT_AUTH_KEY_ROTATION_INTERVAL has passed",
        )
        parser.add_argument("--algorithm", metavar="A", help=", ".join(ALGORITHMS))
        parser.add_argument("--retire", action="store_true", help="only drop expired keys")
        parser.add_argument(
            "--compromised",
            metavar="KID",
            help="drop this key at once, sign with a new one, and end every session",
        )
        parser.add_argument("--yes", action="store_true", help="don't ask for confirmation")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done")

    def handle(self, *args: Any, **options: Any) -> None:
        _check_options(options)
        try:
            store = get_key_store()
            if options["retire"]:
                self._retire(store, options)
            elif options["compromised"] is not None:
                self._replace_compromised(store, options)
            else:
                self._rotate(store, options)
        except UnknownKey as error:
            raise CommandError(
                "The ring has no key with this kid: run `manage.py list_keys` to see its keys. If"
                f" an earlier run dropped the key and then failed, {_END_SESSIONS}."
            ) from error
        except (KeyFailure, ImproperlyConfigured) as error:
            if options["compromised"] is None:
                raise
            raise CommandError(
                with_notes(str(error), error)
                + " No session was ended: run this command again. If the key is gone by then,"
                f" {_END_SESSIONS}."
            ) from error

    def _rotate(self, store: KeyStore, options: dict[str, Any]) -> None:
        change = lifecycle.rotate(
            store,
            algorithm=options["algorithm"],
            at_once=options["now"],
            if_due=options["if_due"],
            dry_run=options["dry_run"],
        )
        if change.after != change.before:
            self._say_changed(change, dry_run=options["dry_run"])
        elif (waiting := change.after.find_waiting(change.now)) is not None:
            self._say(
                f"{_name(waiting)} is published already and signs from"
                f" {timestamp(waiting.activates_at)}. Nothing was changed."
            )
        else:
            due = timestamp(rotation_due(change.after))
            self._say(f"No rotation is due before {due}. Nothing was changed.")

    def _retire(self, store: KeyStore, options: dict[str, Any]) -> None:
        change = lifecycle.retire(store, dry_run=options["dry_run"])
        if change.removed_keys:
            self._say_removed(change, dry_run=options["dry_run"])
        else:
            self._say("No key has expired. Nothing was changed.")

    def _replace_compromised(self, store: KeyStore, options: dict[str, Any]) -> None:
        dry_run = options["dry_run"]
        if not (options["yes"] or dry_run):
            self._confirm()
        change = lifecycle.replace_compromised(
            store,
            kid=options["compromised"],
            algorithm=options["algorithm"],
            dry_run=dry_run,
        )
        self._say_changed(change, dry_run=dry_run)
        if dry_run:
            self._say("Every session would be ended.")
            return
        # Only after the key is gone: a session that was opened between the two steps could
        # otherwise have an access token that the compromised key has signed.
        now = datetime.now(UTC)
        try:
            ended = flows.end_all_sessions(reason=Reason.KEY_COMPROMISE, client=None, now=now)
        except DatabaseError as error:
            raise CommandError(
                "The key was dropped, but the sessions could not be ended:"
                f" {_END_SESSIONS} once the database is up."
            ) from error
        self._say(f"Ended {ended} sessions.")
        write_pending_denials()

    def _confirm(self) -> None:
        try:
            answer = input("This logs all users out at once. Type 'yes' to continue: ")
        except (EOFError, KeyboardInterrupt):
            self.stdout.write()
            answer = ""
        if answer != "yes":
            raise CommandError("Nothing was changed. To continue, answer 'yes' or give --yes.")

    def _say_changed(self, change: Change, *, dry_run: bool) -> None:
        self._say_removed(change, dry_run=dry_run)
        key = change.newest
        at_once = not key.is_waiting(change.now)
        when = "at once" if at_once else f"from {timestamp(key.activates_at)}"
        if dry_run:
            self._say(f"A key for {key.algorithm} would sign {when}.")
            return
        self._say(f"{_name(key)} signs {when}.")
        if at_once:
            interval = conf.key_reload_interval.total_seconds()
            self._say(f"Running servers load it within {interval:g} seconds.")
            minutes = JWKS_MAX_AGE.total_seconds() / 60
            self._say(f"Services that cache the JWK Set load it at most {minutes:g} minutes later.")

    def _say_removed(self, change: Change, *, dry_run: bool) -> None:
        for key in change.removed_keys:
            self._say(f"Key {key.kid} {'would be' if dry_run else 'was'} dropped.")
            if key.signer is not None and not dry_run:
                self._say(how_to_end(key.signer))

    def _say(self, sentence: str) -> None:
        self.stdout.write(sentence)


def _name(key: RingKey) -> str:
    return f"Key {key.kid} ({key.algorithm})"


def _check_options(options: dict[str, Any]) -> None:
    if options["algorithm"] not in (None, *ALGORITHMS):
        raise CommandError(f"The algorithm must be one of {', '.join(ALGORITHMS)}.")
    rotates = options["now"] or options["if_due"]
    compromised = options["compromised"] is not None
    if options["retire"] and (rotates or compromised or options["algorithm"]):
        raise CommandError("--retire only drops expired keys: give it alone, or with --dry-run.")
    if compromised and rotates:
        raise CommandError("--compromised always acts at once: leave out --now and --if-due.")
