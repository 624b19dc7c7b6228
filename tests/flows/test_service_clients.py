"""Service clients: what is stored, who is verified, and what a process remembers."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from itertools import count
from threading import Semaphore
from typing import Any

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.db import connection
from pytest_django import Settings

from jwt_auth import flows
from jwt_auth.exceptions import ServiceClientRefused, ServiceNameTaken
from jwt_auth.flows import service_clients
from jwt_auth.models import ServiceClient
from tests.concurrency.threads import at_once
from tests.flows.scene import BROWSER
from tests.http.conftest import cheap_argon2, service  # noqa: F401  fixtures
from tests.http.services import Service
from tests.keys.reloading import holds_in_child

pytestmark = [pytest.mark.sql, pytest.mark.smoke]

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs of Argon2, as they come."""
    runs: list[str] = []

    def counting(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any) -> Any:
            runs.append(name)
            return real(*given)

        return counted

    for name in ("encode", "verify"):
        real = getattr(Argon2PasswordHasher, name)
        monkeypatch.setattr(Argon2PasswordHasher, name, counting(name, real))
    return runs


def verify(
    client_id: object, secret: str, *, attempt: AbstractContextManager[object] | None = None
) -> ServiceClient:
    """Verify as an endpoint does, without a throttle."""
    return flows.verify_service_client(
        str(client_id), secret, client=BROWSER, attempt=attempt or nullcontext()
    )


def another_with_its_hint(secret: str) -> str:
    """Find a wrong secret that isn't refused before Argon2 has run."""
    hint = sha256(secret.encode()).digest()[:2]
    return next(text for text in map(str, count()) if sha256(text.encode()).digest()[:2] == hint)


def is_refused(client_id: object, secret: str) -> bool:
    try:
        verify(client_id, secret)
    except ServiceClientRefused:
        return True
    return False


def test_secret_is_random_and_only_its_hash_is_stored(db: None) -> None:
    """256 bits; Argon2 with the parameters of Django, which people's passwords get, too."""
    (first, one), (second, other) = (
        flows.create_service_client(name, now=NOW) for name in ("one", "other")
    )
    assert len({one, other}) == 2
    assert len(one) == len(other) == 43
    stored = list(ServiceClient.objects.order_by("name").values())
    assert [row["id"] for row in stored] == [first.pk, second.pk]
    assert one not in str(stored)
    assert stored[0]["secret_hash"].startswith("argon2$argon2id$")
    assert not Argon2PasswordHasher().must_update(stored[0]["secret_hash"])


def test_other_password_hashers_make_no_difference(service: Service, settings: Settings) -> None:  # noqa: F811
    """They are for people's passwords."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    assert verify(service.client.pk, service.secret) == service.client


def test_name_is_taken_once(service: Service) -> None:  # noqa: F811
    """Also after the deactivation: the log names clients by it."""
    flows.deactivate_service_client(service.client, now=NOW)
    with pytest.raises(ServiceNameTaken):
        flows.create_service_client("gateway", now=NOW)
    assert ServiceClient.objects.count() == 1


@pytest.mark.parametrize(
    "spelling",
    [str.upper, lambda text: text.replace("-", ""), "{{{}}}".format, "urn:uuid:{}".format],
)
def test_id_has_one_spelling(spelling: Callable[[str], str], service: Service) -> None:  # noqa: F811
    """The issued one."""
    assert is_refused(spelling(str(service.client.pk)), service.secret)
    assert not is_refused(service.client.pk, service.secret)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("good", 1),
        ("unknown", 0),
        ("not an id", 0),
        ("wrong secret", 0),
        ("inactive", 0),
        ("inactive, wrong secret", 0),
        ("wrong secret with the right hint", 1),
    ],
)
def test_only_a_secret_with_the_right_hint_costs_a_run_of_the_hasher(
    case: str,
    expected: int,
    service: Service,  # noqa: F811
    runs: list[str],
) -> None:
    """Otherwise anybody could keep the processor busy. All others cost the same: nothing."""
    client_id = {"unknown": "0c0ffee0-0000-4000-8000-000000000000", "not an id": "gateway"}.get(
        case, str(service.client.pk)
    )
    if "inactive" in case:
        flows.deactivate_service_client(service.client, now=NOW)
    secret = service.secret
    if "hint" in case:
        secret = another_with_its_hint(secret)
    elif "secret" in case:
        secret = "x"
    assert is_refused(client_id, secret) == (case != "good")
    assert len(runs) == expected


def test_verified_secret_is_remembered(service: Service, runs: list[str]) -> None:  # noqa: F811
    """Argon2 runs once in a process, and again for another secret that could be the right one."""
    for _ in range(3):
        verify(service.client.pk, service.secret)
    assert runs == ["verify"]
    assert is_refused(service.client.pk, service.secret + "x")
    assert is_refused(service.client.pk, "")
    assert is_refused(service.client.pk, another_with_its_hint(service.secret))
    assert runs == ["verify"] * 2
    verify(service.client.pk, service.secret)
    assert len(runs) == 2


def test_deactivated_client_is_refused_at_once(service: Service) -> None:  # noqa: F811
    """Although the process remembers its secret."""
    verify(service.client.pk, service.secret)
    assert flows.deactivate_service_client(service.client, now=NOW)
    assert is_refused(service.client.pk, service.secret)
    assert not flows.deactivate_service_client(service.client, now=datetime.now(UTC))
    assert ServiceClient.objects.get().deactivated_at == NOW


def test_secret_is_forgotten_when_the_row_has_another_hash(service: Service) -> None:  # noqa: F811
    """Such as in a database that was restored."""
    verify(service.client.pk, service.secret)
    other, secret = flows.create_service_client("other", now=NOW)
    ServiceClient.objects.filter(pk=service.client.pk).update(
        secret_hash=other.secret_hash, secret_hint=other.secret_hint
    )
    assert is_refused(service.client.pk, service.secret)
    assert not is_refused(service.client.pk, secret)


def test_memory_is_bounded(
    service: Service,  # noqa: F811
    runs: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A client that was forgotten is verified again."""
    monkeypatch.setattr(service_clients, "_MAX_REMEMBERED", 1)
    other, secret = flows.create_service_client("other", now=NOW)
    runs.clear()
    verify(service.client.pk, service.secret)
    verify(other.pk, secret)
    verify(service.client.pk, service.secret)
    assert runs == ["verify"] * 3


@pytest.mark.django_db(transaction=True)
def test_burst_of_requests_costs_one_run_of_the_hasher(
    service: Service,  # noqa: F811
    runs: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each run takes 100 MB, and after a start every thread gets its first request at once."""
    threads, found, verify_really = 4, Semaphore(0), Argon2PasswordHasher.verify

    def announce(*execution: Any) -> Any:
        execute, *query = execution
        rows = execute(*query)
        found.release()
        return rows

    def verify_when_all_have_found_the_row(*given: Any) -> bool:
        assert all(found.acquire(timeout=60) for _ in range(threads))
        found.release(threads)
        return verify_really(*given)

    def call() -> ServiceClient:
        with connection.execute_wrapper(announce):
            return verify(service.client.pk, service.secret)

    monkeypatch.setattr(Argon2PasswordHasher, "verify", verify_when_all_have_found_the_row)
    assert at_once([call] * threads) == [service.client] * threads
    assert runs == ["verify"]


class Meanwhile(nullcontext[None]):
    """Does something while a secret is about to be hashed."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__()
        self._act = act

    def __enter__(self) -> None:
        self._act()


@pytest.mark.django_db(transaction=True)
def test_remembered_client_waits_for_no_hasher(service: Service) -> None:  # noqa: F811
    """Otherwise an attacker's wrong secrets would hold up every service."""
    call = partial(verify, service.client.pk, service.secret)
    call()
    wrong = another_with_its_hint(service.secret)
    with pytest.raises(ServiceClientRefused):
        verify(service.client.pk, wrong, attempt=Meanwhile(lambda: at_once([call])))


@pytest.mark.parametrize("fork", [os.fork, ctypes.CDLL(None).fork], ids=["Python", "C"])
def test_child_waits_for_no_thread_of_its_parent(
    fork: Callable[[], int],
    service: Service,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Which may have been verifying a secret at the fork, even if it is uWSGI that forks."""
    held: list[bool] = []
    # The child must not use its parent's connection to the database.
    monkeypatch.setattr(type(ServiceClient.objects), "find", lambda *given: service.client)
    wrong = another_with_its_hint(service.secret)

    def have_a_child_verify() -> None:
        check = partial(is_refused, service.client.pk, wrong)
        held.append(holds_in_child(check, fork=fork))

    verify(service.client.pk, service.secret, attempt=Meanwhile(have_a_child_verify))
    assert held == [True]
