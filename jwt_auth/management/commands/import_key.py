"""``manage.py import_key``: add an existing key to the ring as the next signing key."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError, CommandParser

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
from jwt_auth.management.base import JWTAuthCommand
from jwt_auth.management.key_files import read_key, read_passphrase, refuse_exposed
from jwt_auth.management.timeline import timestamp


class Command(JWTAuthCommand):
    help = (
        "Publishes a key from a PEM or JWK file as the next key, which signs after"
        " JWT_AUTH_KEY_PUBLISH_AHEAD. Makes the key ring with this key if it doesn't exist yet."
    )
    needs_private_keys = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", metavar="FILE", help="a PEM or JWK, - for stdin")
        parser.add_argument(
            "--signer-key",
            metavar="KEY",
            help="instead of a file, the ARN of a key that JWT_AUTH_KEY_SIGNER signs with",
        )
        parser.add_argument("--algorithm", metavar="A", help=", ".join(ALGORITHMS))
        parser.add_argument("--kid", help="instead of the file's kid or the thumbprint")
        parser.add_argument(
            "--passphrase-variable",
            metavar="NAME",
            help="the environment variable that holds the passphrase of an encrypted PEM",
        )
        parser.add_argument("--now", action="store_true", help="it signs at once")

    def handle(self, *args: Any, **options: Any) -> None:
        _check_options(options)
        store = get_key_store()
        new = _find_new_key(options)
        change = lifecycle.add(store, new, at_once=options["now"])
        if options["verbosity"]:
            self._say(change, options["file"])

    def _say(self, change: Change, file: str | None) -> None:
        key = change.newest
        at_once = not key.is_waiting(change.now)
        when = "at once" if at_once else f"from {timestamp(key.activates_at)}"
        self.stdout.write(f"Key {key.kid} ({key.algorithm}) signs {when}.")
        if at_once:
            interval = conf.key_reload_interval.total_seconds()
            self.stdout.write(f"Running servers load it within {interval:g} seconds.")
        if file not in (None, "-"):
            self.stdout.write(f"The key is in the ring now: delete {file}.")


@raised_anew(KeyFailure, ImproperlyConfigured, CommandError)
def _find_new_key(options: dict[str, Any]) -> NewKey:
    algorithm, kid = options["algorithm"], options["kid"]
    if options["signer_key"] is None:
        jwk = _read_jwk(options)
        new = NewKey(jwk=jwk if kid is None else jwk | {"kid": kid})
    else:
        signer = find_key_signer()
        if signer is None:
            raise CommandError("--signer-key needs a signer: set JWT_AUTH_KEY_SIGNER first.")
        found = signer.adopt(options["signer_key"], algorithm=algorithm)
        jwk = found.jwk if kid is None else found.jwk | {"kid": kid}
        new = NewKey(jwk=jwk, signer=found.signer)
    jwks.prepare_verification_key(new.jwk)  # also rejects a --kid that can't be used
    if new.jwk["kid"].startswith("-"):
        raise CommandError(
            "The key's kid begins with a dash, so the commands would take it for an option: give"
            " another kid with --kid."
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
        raise CommandError("A JWK is never encrypted: leave out --passphrase-variable.")
    return jwk_from_json(content, algorithm=algorithm, kid=options["kid"])


def _check_options(options: dict[str, Any]) -> None:
    if options["algorithm"] not in (None, *ALGORITHMS):
        raise CommandError(f"The algorithm must be one of {', '.join(ALGORITHMS)}.")
    if (options["file"] is None) == (options["signer_key"] is None):
        raise CommandError(
            "Give either a file with a PEM or a JWK (- for standard input), or --signer-key."
        )
    if options["signer_key"] is not None and options["passphrase_variable"] is not None:
        raise CommandError("A signer's key has no passphrase: leave out --passphrase-variable.")
    if options["kid"] == "":
        raise CommandError("--kid is empty: give a kid, or leave it out.")
