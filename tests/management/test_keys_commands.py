"""The key commands: what they say, what they change and how they end."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.management import CommandError, call_command
from pytest_django import Settings

from jwt_auth import flows
from jwt_auth.conf import ALGORITHMS
from jwt_auth.exceptions import KeyStoreUnavailable
from jwt_auth.keys import changes, jwk
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores import private_files as folders
from jwt_auth.keys.stores.base import get_key_store
from jwt_auth.keys.stores.file import FileKeyStore
from jwt_auth.models import Reason
from tests.flows.scene import log_in, row_of
from tests.jobs import ROOT
from tests.management.commands import output_of

pytestmark = [pytest.mark.smoke, pytest.mark.usefixtures("file_store")]

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@pytest.fixture
def ring() -> KeyRing:
    """A ring of one key, as generate_keys makes it."""
    call_command("generate_keys", verbosity=0)
    return load()


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The calls that end every session, each with the kids that stood in the ring at the time."""
    calls: list[Any] = []

    def end_all_sessions(*, reason: Reason, client: None, now: datetime) -> int:
        calls.append((reason, client, [key.kid for key in load().keys]))
        return 3

    monkeypatch.setattr(flows, "end_all_sessions", end_all_sessions)
    return calls


def load() -> KeyRing:
    return get_key_store().load()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_first_key_is_made_and_signs_at_once(folder: Path, algorithm: str) -> None:
    """Of every algorithm that there is; nothing private is shown."""
    output = output_of("generate_keys", "--algorithm", algorithm)
    (key,) = load().keys
    assert load().signing_key(datetime.now(UTC)) == key
    assert f"Made key {key.kid} ({algorithm}) in {folder}/ring.json. It signs at once." in output
    assert not any(str(key.jwk[name]) in output for name in ("d", "k", "p") if name in key.jwk)


def test_first_key_is_of_the_settings_algorithm(settings: Settings) -> None:
    """Where none is named; and quietly when asked so."""
    settings.JWT_AUTH_ALGORITHM = "EdDSA"
    call_command("generate_keys", verbosity=0)
    assert load().keys[0].algorithm == "EdDSA"


def test_second_first_key_is_refused(ring: KeyRing) -> None:
    """Whoever runs a set-up script twice keeps the keys, and learns where they are."""
    with pytest.raises(
        CommandError, match=r"already, in /.+/ring\.json: run `manage\.py rotate_keys`"
    ):
        call_command("generate_keys")
    assert load() == ring


@pytest.mark.parametrize("command", ["generate_keys", "rotate_keys"])
def test_unknown_algorithm_is_refused(ring: KeyRing, command: str) -> None:
    """With those that there are."""
    with pytest.raises(CommandError, match="must be one of ES256, EdDSA"):
        call_command(command, algorithm="none")


@pytest.mark.parametrize("command", ["rotate_keys", "list_keys"])
def test_missing_ring_says_what_to_run(command: str) -> None:
    """The store's own sentence."""
    with pytest.raises(CommandError, match=r"run `manage\.py generate_keys`"):
        call_command(command)


@pytest.mark.parametrize("command", ["generate_keys", "rotate_keys", "list_keys"])
def test_wrong_store_says_so(settings: Settings, command: str) -> None:
    """In a sentence, not a traceback."""
    settings.JWT_AUTH_KEY_STORE = {"BACKEND": "no.such.Store"}
    with pytest.raises(CommandError, match="JWT_AUTH_KEY_STORE"):
        call_command(command)


def test_next_key_is_published_ahead(ring: KeyRing, settings: Settings) -> None:
    """And the command says when it signs; run again, it says so and changes nothing."""
    settings.JWT_AUTH_KEY_PUBLISH_AHEAD = timedelta(minutes=20)
    output = output_of("rotate_keys")
    former, waiting = load().keys
    assert waiting.activates_at - waiting.created_at == timedelta(minutes=20)
    assert former.expires_at == waiting.activates_at + timedelta(hours=24, minutes=2)
    sentence = rf"Key {waiting.kid} \(ES256\) signs from {TIME.pattern}\.\n"
    assert re.fullmatch(sentence, output)
    published = load()
    again = output_of("rotate_keys")
    assert f"Key {waiting.kid} (ES256) is published already" in again
    assert "Nothing was changed." in again
    assert load() == published


def test_next_key_signs_now_when_asked(ring: KeyRing) -> None:
    """A waiting one first; servers follow within the reload interval."""
    output_of("rotate_keys")
    waiting = load().keys[1]
    output = output_of("rotate_keys", "--now")
    assert load().signing_key(datetime.now(UTC)).kid == waiting.kid
    assert f"Key {waiting.kid} (ES256) signs at once.\n" in output
    assert "Running servers load it within 60 seconds." in output
    output_of("rotate_keys", "--now", "--algorithm", "EdDSA")
    assert load().signing_key(datetime.now(UTC)).algorithm == "EdDSA"


def test_waiting_key_of_another_algorithm_is_an_error(ring: KeyRing) -> None:
    """What was asked for is not done."""
    output_of("rotate_keys")
    with pytest.raises(CommandError, match="another algorithm"):
        call_command("rotate_keys", algorithm="EdDSA")


def test_rotation_that_is_not_due_says_when(ring: KeyRing) -> None:
    """A success: cron asks often."""
    assert re.search(rf"due before {TIME.pattern}", output_of("rotate_keys", "--if-due"))
    assert load() == ring


def test_dry_run_says_what_would_be_done(ring: KeyRing, ended: list[Any]) -> None:
    """And does nothing of it, nor asks."""
    kid = ring.keys[0].kid
    assert "would sign from" in output_of("rotate_keys", "--dry-run")
    assert "would sign at once" in output_of("rotate_keys", "--now", "--dry-run")
    output = output_of("rotate_keys", "--compromised", kid, "--dry-run")
    assert f"Key {kid} would be dropped." in output
    assert "Every session would be ended." in output
    assert (load(), ended) == (ring, [])


def test_retire_drops_expired_keys_only(ring: KeyRing) -> None:
    """Nothing else happens to the ring."""
    assert "No key has expired." in output_of("rotate_keys", "--retire")
    past = datetime.now(UTC) - timedelta(hours=1)
    old = KeyRing(version=1).with_next_key(jwk.generate("ES256"), past, past, timedelta(0))
    old = old.with_next_key(jwk.generate("ES256"), past, past, timedelta(minutes=16))
    get_key_store().save(old, expected_version=1)
    assert "would be dropped" in output_of("rotate_keys", "--retire", "--dry-run")
    assert f"Key {old.keys[0].kid} was dropped." in output_of("rotate_keys", "--retire")
    assert load().keys == old.keys[1:]


def test_compromised_key_is_gone_before_the_sessions(ring: KeyRing, ended: list[Any]) -> None:
    """Else a session opened in between would outlive it."""
    kid = ring.keys[0].kid
    output = output_of("rotate_keys", "--compromised", kid, "--yes")
    (key,) = load().keys
    assert key.kid != kid
    assert ended == [(Reason.KEY_COMPROMISE, None, [key.kid])]
    assert f"Key {kid} was dropped." in output
    assert f"Key {key.kid} (ES256) signs at once." in output
    assert "Running servers load it within 60 seconds." in output
    assert "Ended 3 sessions." in output


@pytest.mark.parametrize("answer", ["no", "y", "", EOFError, KeyboardInterrupt])
def test_compromised_key_stays_without_a_yes(
    ring: KeyRing, ended: list[Any], monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    """Everybody would be logged out."""

    def reply(prompt: str) -> str:
        if isinstance(answer, type):
            raise answer
        return str(answer)

    monkeypatch.setattr("builtins.input", reply)
    # An interrupt that came through would end the whole run; it has no such text.
    with pytest.raises((CommandError, KeyboardInterrupt), match="--yes"):
        call_command("rotate_keys", compromised=ring.keys[0].kid)
    assert (load(), ended) == (ring, [])


def test_compromised_key_goes_after_a_yes_at_the_time_of_the_answer(
    folder: Path, ring: KeyRing, ended: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever thinks it over for an hour gets a ring of that hour, and holds no lock meanwhile."""
    time = [datetime.now(UTC)]

    def think(prompt: str) -> str:
        # Another store, as in another process: one whose thread has the lock would have it again.
        with FileKeyStore(PATH=folder).exclusive():
            time[0] += timedelta(hours=1)
        return "yes"

    monkeypatch.setattr(folders, "_LOCK_SECONDS", 0.0)
    monkeypatch.setattr("builtins.input", think)
    monkeypatch.setattr(changes, "_clock", lambda: time[0])
    call_command("rotate_keys", compromised=ring.keys[0].kid)
    (key,) = load().keys
    assert key.created_at == time[0]
    assert len(ended) == 1


def test_unknown_compromised_key_is_an_error(ring: KeyRing, ended: list[Any]) -> None:
    """And nobody is logged out."""
    with pytest.raises(CommandError, match=r"no key with this kid: run `manage\.py list_keys`"):
        call_command("rotate_keys", compromised="nobody's", yes=True)
    assert (load(), ended) == (ring, [])


def test_compromised_key_that_may_be_gone_leaves_the_sessions_to_be_ended(
    ring: KeyRing, ended: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ring was saved and nobody heard: both the failure and the second run say what is left."""
    kid, store = ring.keys[0].kid, type(get_key_store())
    save = store.save

    def save_and_lose(self: Any, *args: Any, **kwargs: Any) -> None:
        save(self, *args, **kwargs)
        raise KeyStoreUnavailable("No answer in time.")

    with monkeypatch.context() as context:
        context.setattr(store, "save", save_and_lose)
        with pytest.raises(CommandError, match=r"No session .* `manage\.py revoke_tokens --all`"):
            call_command("rotate_keys", compromised=kid, yes=True)
    assert load().find(kid) is None
    with pytest.raises(CommandError, match=r"then failed, run `manage\.py revoke_tokens --all`"):
        call_command("rotate_keys", compromised=kid, yes=True)
    assert ended == []


def test_compromised_key_ends_real_sessions(ring: KeyRing, user: AbstractBaseUser) -> None:
    """With the flow itself."""
    issued = log_in(user)
    call_command("rotate_keys", compromised=ring.keys[0].kid, yes=True)
    assert row_of(issued).revocation_reason == Reason.KEY_COMPROMISE


@pytest.mark.parametrize(
    "options",
    [
        {"retire": True, "now": True},
        {"retire": True, "if_due": True},
        {"retire": True, "compromised": "kid"},
        {"retire": True, "algorithm": "ES256"},
        {"compromised": "kid", "now": True},
        {"compromised": "kid", "if_due": True},
    ],
)
def test_options_that_contradict_each_other_are_refused(
    ring: KeyRing, options: dict[str, Any]
) -> None:
    """Rather than one of them passed over."""
    with pytest.raises(CommandError, match=r"--retire only|--compromised always"):
        call_command("rotate_keys", yes=True, **options)
    assert load() == ring


def test_list_shows_states_and_next_steps(ring: KeyRing) -> None:
    """A row for each key, of any age."""
    now = datetime.now(UTC)
    hour, day = timedelta(hours=1), timedelta(days=1)
    full = KeyRing(version=1).with_next_key(jwk.generate("ES256"), now, now - 2 * day, day)
    for activates_at, retention in ((now - 2 * day, hour), (now - hour, day), (now + hour, day)):
        full = full.with_next_key(jwk.generate("ES256"), now, activates_at, retention)
    get_key_store().save(full, expected_version=1)
    rows = json.loads(output_of("list_keys", "--format", "json"))
    assert [row["kid"] for row in rows] == [key.kid for key in full.keys]
    assert [row["state"] for row in rows] == ["expired", "verifying", "signing", "published"]
    steps = [
        r"run `manage\.py rotate_keys --retire`",
        f"expires {TIME.pattern}",
        f"only verifies from {TIME.pattern}",
        f"signs from {TIME.pattern}",
    ]
    assert all(re.fullmatch(step, row["next_step"]) for step, row in zip(steps, rows, strict=True))
    assert rows[3]["expires_at"] is None
    assert all(TIME.fullmatch(row[name]) for row in rows for name in ("created_at", "activates_at"))


def test_list_is_a_table_without_anything_private(ring: KeyRing) -> None:
    """One line each, below the names of the columns."""
    header, row = output_of("list_keys").splitlines()
    assert header.split()[:3] == ["kid", "algorithm", "state"]
    assert row.split()[:3] == [ring.keys[0].kid, "ES256", "signing"]
    assert re.search(rf"-\s+rotation due {TIME.pattern}$", row)
    assert ring.keys[0].jwk["d"] not in row


def test_unknown_list_format_is_refused(ring: KeyRing) -> None:
    """With those that there are."""
    with pytest.raises(CommandError, match="table or json"):
        call_command("list_keys", format="xml")


def test_page_of_the_reference_shows_the_columns(ring: KeyRing) -> None:
    """As the command prints them."""
    page = (ROOT / "docs" / "reference" / "commands.md").read_text()
    header = output_of("list_keys").splitlines()[0].split()
    assert header in [line.split() for line in page.splitlines()]
