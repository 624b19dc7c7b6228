"""``manage.py export_key``: write a key of the ring as PEM or JWK."""

from __future__ import annotations

import json
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError, CommandParser

from jwt_auth.exceptions import KeyFailure
from jwt_auth.keys import jwk as jwks
from jwt_auth.keys.pem import jwk_to_pem
from jwt_auth.keys.redaction import raised_anew
from jwt_auth.keys.ring import RingKey
from jwt_auth.keys.stores.base import get_key_store, load_ring, send_event
from jwt_auth.management.base import JWTAuthCommand
from jwt_auth.management.key_files import is_exposed, read_passphrase, write_key

_FORMATS: Final = ("pem", "jwk")


class Command(JWTAuthCommand):
    help = "Writes a key of the ring as PEM or JWK: the public key, or the private one if asked."
    needs_private_keys = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("kid", metavar="KID")
        parser.add_argument("--format", default="pem", help=" or ".join(_FORMATS))
        half = parser.add_mutually_exclusive_group()
        half.add_argument("--public", action="store_true", help="the public key (the default)")
        half.add_argument(
            "--private", action="store_true", help="the private key, or an HMAC secret"
        )
        parser.add_argument(
            "--passphrase-variable",
            metavar="NAME",
            help="the environment variable that holds a passphrase to encrypt the PEM with",
        )
        parser.add_argument(
            "--unencrypted", action="store_true", help="write the private key without encryption"
        )
        parser.add_argument("--output", metavar="FILE", help="a new file (mode 0600 if private)")

    def handle(self, *args: Any, **options: Any) -> None:
        _check_options(options)
        if options["private"] and options["output"] is None:
            self._check_standard_output(encrypted=not options["unencrypted"])
        self._export(options)

    def _check_standard_output(self, *, encrypted: bool) -> None:
        if self.stdout.isatty():
            raise CommandError("A private key is never shown on a terminal: give --output FILE.")
        if not encrypted and is_exposed(self.stdout):
            raise CommandError(
                "Standard output is a file that users other than its owner can access: give"
                " --output FILE instead, which creates a file with the mode 0600."
            )

    @raised_anew(KeyFailure, ImproperlyConfigured, CommandError)
    def _export(self, options: dict[str, Any]) -> None:
        passphrase = read_passphrase(options["passphrase_variable"])
        store = get_key_store()
        key = load_ring(store).find(options["kid"])
        if key is None:
            raise CommandError(
                "The ring has no key with this kid: run `manage.py list_keys` to see its keys."
            )
        jwk = _private_part(key) if options["private"] else jwks.public_jwk(key.jwk)
        content = _written(jwk, options["format"], passphrase)
        if options["private"]:
            send_event("exported", store, key.kid)
        if options["output"] is None:
            self.stdout.write(content.decode(), ending="")
        else:
            write_key(options["output"], content, private=options["private"])


def _private_part(key: RingKey) -> dict[str, Any]:
    if key.signer is not None:
        raise CommandError(
            f"The private key never leaves {key.signer.backend}: only --public can be exported."
        )
    return key.jwk


def _written(jwk: dict[str, Any], form: str, passphrase: bytes | None) -> bytes:
    if form == "pem":
        return jwk_to_pem(jwk, passphrase=passphrase)
    return json.dumps(jwk, indent=2).encode() + b"\n"


def _check_options(options: dict[str, Any]) -> None:
    encrypted = options["passphrase_variable"] is not None
    if options["format"] not in _FORMATS:
        raise CommandError(f"The format must be {' or '.join(_FORMATS)}.")
    if not options["private"] and (encrypted or options["unencrypted"]):
        raise CommandError(
            "A public key is not encrypted: add --private to export the private key, or leave out"
            " --passphrase-variable and --unencrypted."
        )
    if not options["private"]:
        return
    if encrypted == options["unencrypted"]:
        raise CommandError(
            "Say how to write the private key: give either --passphrase-variable NAME to encrypt"
            " it, or --unencrypted."
        )
    if encrypted and options["format"] == "jwk":
        raise CommandError("A JWK can't be encrypted: give --format pem, or --unencrypted.")
