"""Traffic on two servers stays right whatever happens to Redis: it only gets slower.

CHAOS_SECONDS is how long each disturbance lasts at least, CHAOS_TTL how long a hash lives: longer
than the disturbance, and it shows what servers believe that was written before. The end of the run
shows the figures of each disturbance and of the time until every worker asks Redis again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from tests.chaos import disturbances
from tests.chaos.disturbances import Meanwhile
from tests.chaos.report import FIGURES, Record
from tests.chaos.stage import SECONDS, TTL, Stage
from tests.chaos.traffic import Figures, Traffic, now, running
from tests.chaos.witness import Witness
from tests.live.site import COMMAND_TIMEOUT
from tests.live.waiting import PATIENCE, wait_until

pytestmark = [
    pytest.mark.live,
    pytest.mark.example,
    pytest.mark.timeout(600 + 10 * SECONDS),
]

Disturbance = Callable[[Stage, Meanwhile], None]

#: `revoke_tokens`, in a process that is up and waits for the word.
_REVOKE_ON_COMMAND = """
from django.core.management import call_command
print("ready", flush=True)
input()
call_command("revoke_tokens", user={user!r})
"""

ALL: tuple[Disturbance, ...] = (
    disturbances.flush,
    disturbances.delete,
    disturbances.evict,
    disturbances.fill,
    disturbances.kill,
    disturbances.restore,
    disturbances.fail_over,
    disturbances.hang,
    disturbances.pause,
    disturbances.delay,
    disturbances.cut,
    disturbances.half_open,
    disturbances.change_password,
    disturbances.throw_out,
)


@pytest.fixture(scope="module")
def traffic(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traffic]:
    """Steady traffic of several processes on both servers; at its end all is asked once more."""
    began = now()
    with running(stage.servers, tmp_path_factory.mktemp("notes")) as traffic:
        wait_until(lambda: traffic.is_busy_since(began), "there is traffic")
        yield traffic
        ended = now()
        traffic.stop()
    last = traffic.between(ended, now())
    assert last.accepted == last.refused == last.errors == []


@pytest.mark.parametrize("disturb", ALL, ids=lambda disturb: disturb.__name__)
def test_disturbed_redis_lets_nothing_revoked_in_and_refuses_nobody(
    stage: Stage, traffic: Traffic, disturb: Disturbance, record_property: Record
) -> None:
    """Ended tokens are refused everywhere from the next request on, living ones are good."""
    figures = _figures(stage, traffic, disturb)
    record_property(FIGURES, _line(disturb, figures))
    assert figures.accepted == figures.refused == figures.errors == []


def test_redis_that_refuses_writes_lets_revoked_in_for_ttl_at_most(
    stage: Stage, traffic: Traffic, record_property: Record
) -> None:
    """A worker that only reads does not notice: the bound is what the documentation says."""
    figures = _figures(stage, traffic, disturbances.refuse_writes, believed_for=TTL)
    record_property(FIGURES, _line(disturbances.refuse_writes, figures))
    assert [note for note in figures.accepted if json.loads(note)["since"] > TTL] == []
    assert figures.refused == figures.errors == []


def test_command_revokes_while_redis_is_away(stage: Stage, traffic: Traffic) -> None:
    """It says that Redis doesn't have the revocation; workers that met the outage still refuse."""
    wait_until(stage.workers.all_ask_redis, "all workers ask Redis")
    witness = Witness(stage.servers, stage.next_witness())
    script = _REVOKE_ON_COMMAND.format(user=witness.user)
    with stage.site.launch("shell", "-c", script) as process:
        lines = process.stdout
        assert lines is not None
        wait_until(lambda: lines.readline() == "ready\n", "the process is up")
        witness.appear()  # only now, for Redis forgets it after its TTL
        mark = stage.workers.mark()
        with disturbances.being_cut(stage):
            said, _ = process.communicate("go\n", timeout=COMMAND_TIMEOUT)
            assert "could not be written to Redis" in said
            assert process.returncode == 1, said
            wait_until(mark.all_have_failed, "every worker has met the outage")
    witness.is_out()
    _wait_until_all_ask_redis(stage, witness)


def _figures(
    stage: Stage, traffic: Traffic, disturb: Disturbance, *, believed_for: float = 0.0
) -> Figures:
    """Disturb, wait until Redis answers every worker again, and sum up."""
    wait_until(stage.workers.all_ask_redis, "all workers ask Redis")
    is_outage = disturb in disturbances.OUTAGES
    meanwhile = Meanwhile(stage, traffic, everybody_fails=is_outage, believed_for=believed_for)
    disturb(stage, meanwhile)
    ended, asked = now(), stage.hmgets()
    wait_until(lambda: stage.hmgets() > asked, "a worker asks Redis", PATIENCE + TTL)
    first = now()
    _wait_until_all_ask_redis(stage, meanwhile.witness)
    figures = traffic.between(meanwhile.began, every := now())
    figures.seconds = (ended - meanwhile.began, first - ended, every - ended)
    figures.failures = meanwhile.mark.failures()
    return figures


def _line(disturb: Disturbance, figures: Figures) -> str:
    """Say what came of it."""
    lasted, first, every = figures.seconds
    return (
        f"{disturb.__name__} lasted {lasted:.1f} s: {figures.requests} requests,"
        f" {figures.revocations} revoked something, {figures.ended} asked with what was revoked;"
        f" {len(figures.accepted)} wrongly accepted, {len(figures.refused)} wrongly refused,"
        f" {len(figures.errors)} errors; {figures.failures} times a worker found Redis away;"
        f" answered in {figures.median:.3f} s (median) and"
        f" {figures.slowest:.2f} s (slowest); Redis asked again after {first:.1f} s (first worker)"
        f" and {every:.1f} s (all)"
    )


def _wait_until_all_ask_redis(stage: Stage, witness: Witness) -> None:
    """Wait until no circuit is open any more; nobody accepts the witness until then, nor then."""

    def all_ask_redis() -> bool:
        witness.look_now_and_then()
        return stage.workers.all_ask_redis()

    wait_until(all_ask_redis, "all workers ask Redis", PATIENCE + TTL)
    witness.look()
