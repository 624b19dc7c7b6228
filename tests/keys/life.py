"""A life of keys by the commands, on any store, with everything captured that is said of them."""

from __future__ import annotations

import functools
import json
import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from django.core.management import CommandError, call_command
from django.test import RequestFactory, override_settings

from jwt_auth import flows, signals
from jwt_auth.checks.keys import check_keys
from jwt_auth.http.views.jwks import jwks
from jwt_auth.keys.stores import base
from jwt_auth.keys.stores.base import KeyStore, get_key_store
from tests.keys.frames import pem_mark, shown_of
from tests.keys.reloading import signing_key

PASSPHRASE = "the passphrase of an export"
WRONG_PASSPHRASE = "the passphrase of another export"

#: The members of a JWK that nobody else may see (RFC 7518 §6.2.2, §6.3.2, §6.4; RFC 8037 §2).
PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "k")


def private_members(jwk: Mapping[str, Any]) -> set[str]:
    return {str(jwk[name]) for name in PRIVATE if name in jwk}


@dataclass(kw_only=True)
class Life:
    """What was said, what of it nobody may say, and what happened to which key."""

    said: list[str] = field(default_factory=list)
    private: set[str] = field(default_factory=set)
    events: list[tuple[str, str | None]] = field(default_factory=list)
    #: Names of the commands that the events came from.
    commands: set[str] = field(default_factory=set)

    def run(self, name: str, *arguments: str) -> str:
        """Run a command; keep what it writes, or the whole error with all that is behind it."""
        output = StringIO()
        try:
            call_command(name, *arguments, stdout=output, stderr=output)
        except CommandError as error:
            formatted = traceback.TracebackException.from_exception(error, capture_locals=False)
            self.said += [*formatted.format(), repr(error), *shown_of(error)]
        self.said.append(output.getvalue())
        return output.getvalue()

    def kids(self) -> list[str]:
        """The kids that the store has now."""
        ring = get_key_store().load()
        for key in ring.keys:
            self.private |= private_members(key.jwk) | pem_mark(key.jwk)
        self.said += [repr(ring), str(ring), *map(repr, ring.keys), repr(get_key_store())]
        self.said.append(get_key_store().describe())
        return [key.kid for key in ring.keys]

    def published(self) -> list[str]:
        """The kids of the key set, by the view."""
        content = jwks(RequestFactory().get("/")).content.decode()
        self.said.append(content)
        return [key["kid"] for key in json.loads(content)["keys"]]

    def revealed(self, *secrets: str) -> list[int]:
        """The numbers of the texts that hold a private member or a secret, not the texts."""
        never = self.private | {PASSPHRASE, WRONG_PASSPHRASE, *secrets}
        return [n for n, text in enumerate(self.said) if any(secret in text for secret in never)]


@contextmanager
def life_on(open_store: Callable[[], KeyStore], folder: Path) -> Iterator[Life]:
    """Have the commands work on this store, and all loggers and signals heard."""
    life = Life()

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            life.said.append(logging.Formatter().format(record) + repr(vars(record)))

    def receive(*, signal: Any, **event: Any) -> None:
        life.said.append(repr(event))
        life.events.append((event["event"], event["kid"]))
        life.commands.add(event["process"].command)

    collector = Collector()
    loggers = [logging.getLogger(name) for name in ("", *logging.root.manager.loggerDict)]
    former = [(logger, logger.level) for logger in loggers]
    signals.key_event.connect(receive)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        logger.addHandler(collector)
    opened = functools.cache(open_store)
    config = {"BACKEND": "contract", "OPTIONS": {"PATH": str(folder)}}
    try:
        with (
            patch.object(base._setting, "get_instance", lambda _: opened()),
            patch.object(flows, "end_all_sessions", return_value=3),
            override_settings(JWT_AUTH_KEY_STORE=config),
        ):
            yield life
    finally:
        signals.key_event.disconnect(receive)
        for logger, level in former:
            logger.setLevel(level)
            logger.removeHandler(collector)


def live(life: Life, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first key over rotations and an export to the emergency."""
    monkeypatch.setenv("EXPORT_PASSPHRASE", PASSPHRASE)
    life.run("rotate_keys")  # there is no ring yet
    life.run("generate_keys", "--algorithm", "RS256")
    life.run("generate_keys")  # there is one
    (first,) = life.kids()
    life.run("rotate_keys", "--dry-run")
    life.run("rotate_keys", "--algorithm", "ES256")
    life.run("rotate_keys", "--now")
    life.run("rotate_keys", "--retire")
    _, second = life.kids()
    for form in ("table", "json"):
        assert second in life.run("list_keys", "--format", form)
    life.run("export_key", second, "--format", "pem")
    file = folder / "exported.pem"
    variable = ("--passphrase-variable", "EXPORT_PASSPHRASE")
    life.run("export_key", second, "--private", "--output", str(file), *variable)
    life.run("export_key", second, "--private", "--output", str(file), *variable)  # it is there
    life.run("import_key", str(file))  # it is in the ring already, and encrypted
    monkeypatch.setenv("WRONG_PASSPHRASE", WRONG_PASSPHRASE)
    life.run("import_key", str(file), "--passphrase-variable", "WRONG_PASSPHRASE")
    life.run("import_key", str(file), *variable)
    file = folder / "exported-open.pem"
    life.run("export_key", second, "--private", "--unencrypted", "--output", str(file))
    life.run("export_key", second, "--private", "--unencrypted", "--output", str(file))
    life.run("import_key", str(file), "--algorithm", "RS256")  # which it is not for
    assert life.published() == [first, second]
    life.run("rotate_keys", "--compromised", "nobody's", "--yes")
    said = life.run("rotate_keys", "--compromised", second, "--yes")
    assert "Running servers load it within 60 seconds." in said
    _, third = life.kids()
    assert life.published() == [first, third]
    assert signing_key(datetime.now(UTC)).kid == third
    life.said += map(repr, check_keys(None))
    changes = [event for event in life.events if event[1] is not None]
    assert changes == [
        ("activated", first),
        ("published", second),
        ("superseded", first),
        ("activated", second),
        *[("exported", second)] * 4,
        ("compromised", second),
        ("activated", third),
    ]
    assert {"generate_keys", "rotate_keys", "list_keys", "export_key"} <= life.commands
