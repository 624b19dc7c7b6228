"""``manage.py import_key``: have a key that somebody else made be the next one."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from jwt_auth.conf import ALGORITHMS, conf
from jwt_auth.exceptions import KeyFailure
from jwt_auth.keys import jwk as jwks
from jwt_auth.keys import lifecycle
from jwt_auth.keys.changes import Change
from jwt_auth.keys.imported_keys import jwk_from_json
from jwt_auth.keys.pem import jwk_from_pem
from jwt_auth.keys.redaction import raised_anew
from jwt_auth.keys.signers.base import NewKey, find_key_signer
from jwt_auth.keys.stores.base import get_key_store
from jwt_auth.management.secrets import read_key, read_passphrase, refuse_exposed
from jwt_auth.management.timeline import timestamp


class Command(BaseCommand):
    help = (
        "Publishes a key from a PEM or JWK file as the next one, which signs after"
        " JWT_AUTH_KEY_PUBLISH_AHEAD. Where there is no key ring, makes one of it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", metavar="FILE", help="or - for standard input")
        parser.add_argument(
            "--signer-key", metavar="KEY", help="a key that JWT_AUTH_KEY_SIGNER has, by its ARN"
        )
        parser.add_argument("--algorithm", metavar="A", help=", ".join(ALGORITHMS))
        parser.add_argument("--kid", help="instead of the file's own, or of the thumbprint")
        parser.add_argument(
            "--passphrase-variable",
            metavar="NAME",
            help="the environment variable that holds the passphrase of an encrypted PEM",
        )
        parser.add_argument("--now", action="store_true", help="it signs at once")

    def handle(self, *args: Any, **options: Any) -> None:
        _require_sense(options)
        try:
            store = get_key_store()
            new = _find_new_key(options)
            change = lifecycle.add(store, new, at_once=options["now"])
        except (KeyFailure, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error
        if options["verbosity"]:
            self._say(change, options["file"])

    def _say(self, change: Change, file: str | None) -> None:
        key = change.newest
        at_once = not key.is_waiting(change.now)
        when = "at once" if at_once else f"from {timestamp(key.activates_at)}"
        self.stdout.write(f"Key {key.kid} ({key.algorithm}) signs {when}.")
        if at_once:
            interval = conf.key_reload_interval.total_seconds()
            self.stdout.write(f"Running servers follow within {interval:g} seconds.")
        if file not in (None, "-"):
            self.stdout.write(f"The ring has the key now: delete {file}.")


@raised_anew(KeyFailure, ImproperlyConfigured, CommandError)
def _find_new_key(options: dict[str, Any]) -> NewKey:
    algorithm, kid = options["algorithm"], options["kid"]
    if options["signer_key"] is None:
        jwk = _read_jwk(options)
        new = NewKey(jwk=jwk if kid is None else jwk | {"kid": kid})
    else:
        signer = find_key_signer()
        if signer is None:
            raise CommandError("No signer is set: write JWT_AUTH_KEY_SIGNER first.")
        found = signer.adopt(options["signer_key"], algorithm=algorithm)
        jwk = found.jwk if kid is None else found.jwk | {"kid": kid}
        new = NewKey(jwk=jwk, signer=found.signer)
    jwks.prepare_verification_key(new.jwk)  # judges the kid that was given, too
    if new.jwk["kid"].startswith("-"):
        raise CommandError(
            "The kid of the key begins with a dash, and a command line would take it for an"
            " option: give another one with --kid."
        )
    return new


def _read_jwk(options: dict[str, Any]) -> dict[str, Any]:
    name, algorithm = options["file"], options["algorithm"]
    passphrase = read_passphrase(options["passphrase_variable"])
    content, exposed = read_key(name)
    if exposed and passphrase is None:
        refuse_exposed(name)
    if not content.lstrip().startswith(b"{"):
        return jwk_from_pem(content, algorithm=algorithm, passphrase=passphrase)
    if passphrase is not None:
        raise CommandError("A JWK is not encrypted: leave --passphrase-variable out.")
    return jwk_from_json(content, algorithm=algorithm, kid=options["kid"])


def _require_sense(options: dict[str, Any]) -> None:
    if options["algorithm"] not in (None, *ALGORITHMS):
        raise CommandError(f"The algorithm must be one of {', '.join(ALGORITHMS)}.")
    if (options["file"] is None) == (options["signer_key"] is None):
        raise CommandError("Give a file with a PEM or a JWK, or - for standard input.")
    if options["signer_key"] is not None and options["passphrase_variable"] is not None:
        raise CommandError("A key of a signer has no passphrase: leave it out.")
    if options["kid"] == "":
        raise CommandError("The kid is empty.")
