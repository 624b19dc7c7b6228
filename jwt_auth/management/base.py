"""The base of the package's commands: a command that fails prints one sentence and exits with 1.

Django's base class prints the warnings of all checks around that sentence. If the options are
wrong, it prints a usage text, which repeats their values, and exits with 2.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from io import StringIO
from typing import Any, Final, NoReturn

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper
from django.db import Error as DatabaseError

from jwt_auth.conf import conf
from jwt_auth.database_errors import explain
from jwt_auth.exceptions import KeyFailure
from jwt_auth.revocation.base import keeps_sessions

_LOGGER: Final = "jwt_auth"
#: The events of the security log that the sentence of a command replaces, and ``None`` for records
#: of other loggers.
_NO_CHANGES: Final = frozenset({"key_loaded", "key_refused", None})

#: What may be repeated of an unknown argument: the name of an option, and never a token or a key.
_OPTION: Final = re.compile(r"--?[a-z][a-z-]{0,30}")

#: Where argparse repeats a value: "invalid int value: 'many'", "ignored explicit argument 'x'".
_VALUE: Final = re.compile(r"""[:'"]""")


_AT_THE_ISSUER: Final = (
    "This service only verifies tokens and has no private keys (JWT_AUTH_JWKS_URL): run this"
    " command at the issuer."
)

_SESSIONS_AT_THE_ISSUER: Final = (
    "This service only verifies tokens and has no sessions (JWT_AUTH_JWKS_URL): run this command"
    " at the issuer."
)


class WrongOptions(CommandError):
    """The command was given options or arguments that it doesn't take."""


class JWTAuthCommand(BaseCommand):
    """Says in one sentence why it failed. ``handle`` may let errors of keys, settings and the
    database pass.
    """

    #: Whether it needs the private keys, which a service that only verifies doesn't have.
    needs_private_keys = False

    #: Whether it needs the tables of sessions, which such a service doesn't use either.
    needs_sessions = False

    #: Whether the process ends with this command.
    _is_last = False

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        # Not in a subclass of the parser: Django's method names the class.
        parser.error = partial(_refuse, subcommand)  # type: ignore[method-assign]
        return parser

    def run_from_argv(self, argv: list[str]) -> None:
        self._is_last = True
        with _records_held_back():
            try:
                super().run_from_argv(argv)
            except WrongOptions as wrong:
                self._fail(str(wrong))
            except KeyboardInterrupt as interrupt:
                self._fail(
                    with_notes("Interrupted: run the command again to complete it.", interrupt)
                )

    def execute(self, *args: Any, **options: Any) -> str | None:
        # Python has no sys.stdout if the shell has closed it: then nobody wants the output.
        standard = self.stdout if sys.stdout is not None else StringIO()
        output = _Output(options.get("stdout") or standard)
        try:
            with _explained():
                if self.needs_private_keys and conf.jwks_url is not None:
                    raise CommandError(_AT_THE_ISSUER)
                if self.needs_sessions and not keeps_sessions():
                    raise CommandError(_SESSIONS_AT_THE_ISSUER)
                result = super().execute(*args, **options | {"stdout": output})
        finally:
            output.finish(is_last=self._is_last)
        if output.failure is not None:
            raise CommandError(
                f"Writing to standard output failed: {output.failure}. Everything else was done."
            )
        return result

    def check(self, *args: Any, **kwargs: Any) -> None:
        """Run the checks, and report errors only: ``manage.py check`` shows the warnings."""
        shown, self.stderr = self.stderr, OutputWrapper(StringIO())
        try:
            super().check(*args, **kwargs)
        finally:
            self.stderr = shown

    def _fail(self, sentence: str) -> NoReturn:
        self.stderr.write(f"CommandError: {sentence}")
        sys.exit(1)


class _Output:
    """Standard output that may fail without an effect on the command.

    For example, the reader of a pipe may end between the step that drops a compromised key and the
    one that ends the sessions.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.failure: str | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> None:
        self._try(partial(self._stream.write, text))

    def flush(self) -> None:
        self._try(getattr(self._stream, "flush", _nothing))

    def finish(self, *, is_last: bool) -> None:
        """Write out what is buffered. If this fails and the process ends now, drop it: Python would
        try again at the end, and print another error.
        """
        self.flush()
        if self.failure is not None and is_last:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def _try(self, write: Callable[[], object]) -> None:
        if self.failure is not None:
            return
        try:
            write()
        except OSError as error:
            self.failure = error.strerror


def _nothing() -> None:
    """Stand in for a method that not every stream has."""


def with_notes(sentence: str, error: BaseException) -> str:
    """Add what the package has noted about an error, all on one line."""
    return " ".join(" ".join([sentence, *getattr(error, "__notes__", ())]).split())


@contextmanager
def _explained() -> Iterator[None]:
    """Turn errors of keys, settings and the database into a ``CommandError`` with the remedy."""
    try:
        yield
    except (KeyFailure, ImproperlyConfigured) as error:
        raise CommandError(with_notes(str(error), error)) from error
    except DatabaseError as error:
        raise CommandError(with_notes(explain(error), error)) from error


class _HeldBack(logging.Filter):
    """Keeps the package's records from a handler. Those of changes pass: they must not be lost."""

    def __init__(self) -> None:
        super().__init__(_LOGGER)
        self.records: list[logging.LogRecord] = []

    def filter(self, record: logging.LogRecord) -> bool:
        if not super().filter(record):
            return True  # the project's: what it calls "jwt_auth" may be anything
        if getattr(record, "jwt_auth", {"event": None})["event"] not in _NO_CHANGES:
            return True
        self.records.append(record)
        return False


@contextmanager
def _records_held_back() -> Iterator[None]:
    """Print log records on standard error after a command that succeeds, and not around the
    sentence of one that fails. Records of changes are printed at once in any case, and other
    handlers, such as a file's, get each record at once.
    """
    held = {handler: _HeldBack() for handler in _consoles()}
    for handler, filter_ in held.items():
        handler.addFilter(filter_)
    yield  # after a failure the filters stay: the process ends, and may log until then
    for handler, filter_ in held.items():
        handler.removeFilter(filter_)
        for record in filter_.records:
            handler.handle(record)


def _consoles() -> set[logging.Handler]:
    """Find the handlers that print the package's records on standard error."""
    found = set()
    for name in (_LOGGER, f"{_LOGGER}.security"):
        logger: logging.Logger | None = logging.getLogger(name)
        while logger is not None:
            found.update(logger.handlers)
            logger = logger.parent if logger.propagate else None
    if not found and logging.lastResort is not None:
        found.add(logging.lastResort)
    return {each for each in found if getattr(each, "stream", None) in (sys.stderr, sys.__stderr__)}


def _refuse(subcommand: str, message: str) -> NoReturn:
    problem = _without_values(message)
    problem = problem[0].upper() + problem[1:]
    raise WrongOptions(f"{problem}. Run `manage.py {subcommand} --help`.")


def _without_values(message: str) -> str:
    """Leave out what argparse repeats of the command line, which may be a token or a key."""
    kind, _, rest = message.partition(": ")
    if kind == "unrecognized arguments":
        names = [word.partition("=")[0] for word in rest.split()]
        options = [name for name in names if _OPTION.fullmatch(name)]
        return f"{kind}: {', '.join(options)}" if options else kind
    if kind == "the following arguments are required":
        return message
    if kind.startswith("argument "):  # "argument --batch-size: invalid int value: 'many'"
        return f"{kind}: {_VALUE.split(rest)[0].strip()}"
    return kind
