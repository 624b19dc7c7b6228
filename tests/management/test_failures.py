"""A command that fails prints one sentence on standard error and exits with 1."""

from __future__ import annotations

import logging
import os
import re
import sys
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.management import call_command, load_command_class
from django.core.management.base import OutputWrapper
from pytest_django import Settings

from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores.file import FileKeyStore
from jwt_auth.management import commands
from tests.flows.scene import log_in, row_of

pytestmark = [pytest.mark.smoke, pytest.mark.usefixtures("file_store")]

NAMES = sorted(path.stem for path in Path(commands.__path__[0]).glob("[a-z]*.py"))
REQUIRED = {
    "revoke_tokens": ["--all"],
    "export_key": ["KID"],
    "create_service_client": ["NAME"],
    "deactivate_service_client": ["NAME"],
}
TOKEN = "eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl"
PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n"


class LoudStore(FileKeyStore):
    """Logs a warning before it answers."""

    def load(self) -> KeyRing:
        logging.getLogger("jwt_auth").warning("It takes long.")
        return super().load()


class InterruptedStore(FileKeyStore):
    """An operator who waits for it presses Ctrl-C."""

    def load(self) -> KeyRing:
        raise KeyboardInterrupt


class Refuse(Protocol):
    """Runs a command as `manage.py` does, expects that it fails, and gives the sentence."""

    def __call__(self, *argv: str, stdout: Any = None) -> str: ...


@pytest.fixture
def refuse(capsys: pytest.CaptureFixture[str]) -> Refuse:
    def refuse(*argv: str, stdout: Any = None) -> str:
        capsys.readouterr()
        command = load_command_class("jwt_auth", argv[0])
        if stdout is not None:
            command.stdout = OutputWrapper(stdout)
        with pytest.raises(SystemExit) as ended:
            command.run_from_argv(["manage.py", *argv])
        said = capsys.readouterr()
        assert (ended.value.code, said.out) == (1, "")
        (line,) = said.err.splitlines()
        return line.removeprefix("CommandError: ")

    return refuse


def configure(monkeypatch: pytest.MonkeyPatch, *handlers: logging.Handler) -> None:
    """Give the package's logger these handlers; without one, it is as in Django's default LOGGING.

    Not in a fixture: pytest adds its handlers after those.
    """
    logger = logging.getLogger("jwt_auth")
    monkeypatch.setattr(logger, "handlers", list(handlers))
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logging.lastResort, "filters", [])


def use(store: type[FileKeyStore], settings: Settings, folder: Path) -> None:
    settings.JWT_AUTH_KEY_STORE = {
        "BACKEND": f"{__name__}.{store.__name__}",
        "OPTIONS": {"PATH": str(folder)},
    }


@pytest.mark.parametrize("name", NAMES)
def test_unknown_option_is_named_without_its_value(name: str, refuse: Refuse) -> None:
    """By every command that there is; what stands beside it may be a token."""
    sentence = refuse(name, *REQUIRED.get(name, ()), f"--nowe={TOKEN}", TOKEN, PEM)
    assert sentence.endswith(f"Run `manage.py {name} --help`.")
    if name != "import_key":  # whose FILE takes the token
        assert sentence.startswith("Unrecognized arguments: --nowe. ")
    assert TOKEN not in sentence
    assert "PRIVATE" not in sentence


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["revoke_tokens", "--all", TOKEN], "Unrecognized arguments."),
        (["rotate_keys", PEM], "Unrecognized arguments."),
        (["revoke_tokens"], "One of the arguments --user --session --jti --all is required."),
        (["revoke_tokens", TOKEN], "One of the arguments --user --session --jti --all is"),
        (["revoke_tokens", "--all", "--jti", TOKEN], "Argument --jti: not allowed with argument"),
        (["revoke_tokens", "--user"], "Argument --user: expected one argument."),
        (["export_key"], "The following arguments are required: KID."),
        (["clear_expired_tokens", "--batch-size", TOKEN], "Argument --batch-size: invalid int"),
        (["rotate_keys", f"--now={TOKEN}"], "Argument --now: ignored explicit argument."),
        (["rotate_keys", "--verbosity", "9"], "Argument -v/--verbosity: invalid choice."),
        (["rotate_keys", f"--no={TOKEN}"], "Ambiguous option."),
    ],
)
def test_wrong_options_are_told_without_values(argv: list[str], says: str, refuse: Refuse) -> None:
    """Not with exit code 2 and a usage text, as argparse would."""
    sentence = refuse(*argv)
    assert sentence.startswith(says)
    assert TOKEN not in sentence


@pytest.mark.parametrize("argv", [["list_keys"], ["rotate_keys"], ["export_key", "KID"]])
@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "run `manage.py generate_keys`."), ("{", "Restore it from a backup")],
)
def test_ring_that_can_not_be_read_is_told(
    argv: list[str], content: str | None, says: str, refuse: Refuse, folder: Path
) -> None:
    """Without the warning W030, which says the same."""
    if content is not None:
        folder.mkdir(mode=0o700)
        (folder / "ring.json").touch(mode=0o600)
        (folder / "ring.json").write_text(content)
    assert says in refuse(*argv)


@pytest.mark.parametrize(
    "argv",
    [
        ["import_key", TOKEN],
        ["import_key", "-", "--passphrase-variable", TOKEN],
        ["import_key", "-", "--algorithm", TOKEN],
        ["list_keys", "--format", TOKEN],
        ["revoke_tokens", "--session", TOKEN],
        ["revoke_tokens", "--jti", TOKEN],
    ],
)
@pytest.mark.django_db
def test_value_in_the_wrong_place_is_not_repeated(argv: list[str], refuse: Refuse) -> None:
    """It may be a key, a passphrase or a token."""
    assert TOKEN not in refuse(*argv)


def test_interrupt_is_one_sentence(settings: Settings, folder: Path, refuse: Refuse) -> None:
    """And not a traceback."""
    use(InterruptedStore, settings, folder)
    assert refuse("rotate_keys", "--skip-checks").startswith("Interrupted: run the command again")


def test_success_shows_no_warnings_of_checks(capsys: pytest.CaptureFixture[str]) -> None:
    """W030 would tell generate_keys that there are no keys."""
    load_command_class("jwt_auth", "generate_keys").run_from_argv(["manage.py", "generate_keys"])
    said = capsys.readouterr()
    assert said.out.startswith("Made key ")
    assert said.err == ""


def test_errors_of_checks_stop_a_command(
    settings: Settings, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With each id and line to write, before anything is made."""
    settings.JWT_AUTH_ISSUER = ""
    with pytest.raises(SystemExit, match="1"):
        load_command_class("jwt_auth", "generate_keys").run_from_argv(["manage.py", "x"])
    assert "(jwt_auth.E001)" in capsys.readouterr().err
    assert not folder.exists()


@pytest.mark.django_db(transaction=True)  # the command closes its connections
def test_closed_pipe_does_not_stop_a_command_halfway(
    user: AbstractBaseUser, file_store: FileKeyStore, refuse: Refuse
) -> None:
    """Between the key that is dropped and the sessions that end."""
    call_command("generate_keys", verbosity=0)
    (key,) = file_store.load().keys
    session = log_in(user)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", buffering=1) as closed:
        said = refuse("rotate_keys", "--yes", f"--compromised={key.kid}", stdout=closed)
    assert said == ("Writing to standard output failed: Broken pipe. Everything else was done.")
    assert file_store.load().find(key.kid) is None
    assert row_of(session).revoked_at is not None


def test_missing_standard_output_does_not_stop_a_command(
    file_store: FileKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after `>&-` in a shell."""
    monkeypatch.setattr(sys, "stdout", None)
    call_command("generate_keys")
    assert len(file_store.load().keys) == 1


#: Python's handler of last resort, and one that a project's LOGGING has.
CONSOLES = pytest.mark.parametrize(
    "consoles", [(), (logging.StreamHandler,)], ids=["default", "configured"]
)


@CONSOLES
def test_records_are_shown_after_success(
    consoles: tuple[type[logging.StreamHandler[Any]], ...],
    settings: Settings,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """They may say what is left to do."""
    call_command("generate_keys", verbosity=0)
    configure(monkeypatch, *(console() for console in consoles))
    capsys.readouterr()
    use(LoudStore, settings, folder)
    load_command_class("jwt_auth", "list_keys").run_from_argv(["manage.py", "list_keys"])
    assert "It takes long." in capsys.readouterr().err.splitlines()


@CONSOLES
def test_records_are_not_shown_after_failure(
    consoles: tuple[type[logging.StreamHandler[Any]], ...],
    settings: Settings,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    refuse: Refuse,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Not even those that come until the process ends. Another handler gets all of them."""
    file = StringIO()
    handlers = [*(console() for console in consoles), logging.StreamHandler(file)]
    configure(monkeypatch, *(handlers if consoles else ()))
    use(LoudStore, settings, folder)
    assert "generate_keys" in refuse("list_keys")
    logging.getLogger("jwt_auth.redis").error("At the end.")
    assert capsys.readouterr().err == ""
    if consoles:
        assert {"It takes long.", "At the end."} <= set(file.getvalue().splitlines())


@pytest.mark.django_db(transaction=True)  # the command closes its connections
def test_records_of_changes_are_shown_whatever_happens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command that fails may have changed something before."""
    configure(monkeypatch, logging.StreamHandler())
    command = load_command_class("jwt_auth", "generate_keys")
    with Path("/dev/full").open("w") as full:
        command.stdout = OutputWrapper(full)
        with pytest.raises(SystemExit):
            command.run_from_argv(["manage.py", "generate_keys"])
    *records, sentence = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in records] == ["key_saved", "key_activated"]
    assert sentence.startswith("CommandError: Writing to standard output failed")


def test_output_without_flush_is_written(file_store: FileKeyStore) -> None:
    """As by Django's commands."""
    written: list[str] = []
    call_command("generate_keys", stdout=SimpleNamespace(write=written.append))
    assert "It signs at once." in "".join(written)


def test_records_of_others_are_shown_at_once(
    monkeypatch: pytest.MonkeyPatch, refuse: Refuse, capsys: pytest.CaptureFixture[str]
) -> None:
    """The project's own are none of this package's business."""
    console = logging.StreamHandler()
    configure(monkeypatch, console)
    monkeypatch.setattr(logging.getLogger("mysite"), "handlers", [console])
    refuse("list_keys")
    logging.getLogger("mysite").warning("Hello.", extra={"jwt_auth": 1})
    assert capsys.readouterr().err.splitlines() == ["Hello."]


def test_key_made_in_vain_is_named_in_the_sentence(settings: Settings, refuse: Refuse) -> None:
    """It costs money, and no record is shown."""
    call_command("generate_keys", verbosity=0)
    settings.JWT_AUTH_KEY_SIGNER = {
        "BACKEND": "tests.keys.signers.LocalSigner",
        "OPTIONS": {"CONFUSED": True},
    }
    assert re.search(r"A key was made at local in vain\. End \S+ by hand\.$", refuse("rotate_keys"))
