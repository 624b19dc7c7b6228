"""Traffic on two servers stays right whatever happens to Redis: it only gets slower.

CHAOS_SECONDS is how long each disturbance lasts, CHAOS_TTL how long a hash lives: longer than the
disturbance, and it shows what servers believe that was written before. The table at the end of the
run has, for each disturbance and the time until every worker asks Redis again: all requests, how
many of them revoked something and how many asked with what had been revoked, the wrong answers of
three kinds, times to answer, and the seconds until Redis answered one and all workers again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import jwt
import pytest
import requests

from tests.chaos import disturbances
from tests.chaos.report import LINES
from tests.chaos.stage import ALL_WORKERS, SECONDS, TTL, Stage
from tests.chaos.traffic import PROCESSES, VISITORS, Figures, Traffic, now, running
from tests.live.site import bearer
from tests.revocation.redis.servers import wait_for

pytestmark = [
    pytest.mark.live,
    pytest.mark.example,
    pytest.mark.slow,
    pytest.mark.timeout(240 + 10 * SECONDS),
]

Disturbance = Callable[[Stage, float], None]

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

#: Sessions that a visitor has; about two go each second, as some end several at once.
_EACH, _USERS = 6, int((len(ALL) * (SECONDS + TTL + 3) * 2.2) / 6 + 3)

_HEAD = (
    f"{'':<16}{'seconds':>8}{'requests':>9}{'revoked':>8}{'asked':>7}{'accepted':>9}"
    f"{'refused':>8}{'5xx':>4}{'median':>8}{'slowest':>8}{'first':>7}{'all back':>9}"
)


@pytest.fixture(scope="module")
def traffic(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traffic]:
    """Steady traffic of several processes on both servers; at its end all is asked once more."""
    stock = stage.make_stock(1 + _USERS * PROCESSES * VISITORS, _EACH)
    LINES.append(_HEAD)
    ((spare, *_), *stock) = stock
    with running(stage.servers, stock, tmp_path_factory.mktemp("notes")) as traffic:
        traffic.spare = spare
        wait_for(traffic.is_up)
        yield traffic
        ended = now()
        traffic.stop()
    last = traffic.between(ended, now())
    assert last.accepted == last.refused == last.errors == []


@pytest.mark.parametrize("disturb", ALL, ids=lambda disturb: disturb.__name__)
def test_disturbed_redis_lets_nothing_revoked_in_and_refuses_nobody(
    stage: Stage, traffic: Traffic, disturb: Disturbance
) -> None:
    """Ended tokens are refused everywhere from the next request on, living ones are good."""
    figures = _figures(stage, traffic, disturb)
    assert figures.accepted == figures.refused == figures.errors == []
    assert figures.revocations
    assert figures.ended


def test_redis_that_refuses_writes_lets_revoked_in_for_ttl_at_most(
    stage: Stage, traffic: Traffic
) -> None:
    """A worker that only reads does not notice: the bound is what the documentation says."""
    figures = _figures(stage, traffic, disturbances.refuse_writes)
    assert [note for note in figures.accepted if json.loads(note)["since"] > TTL] == []
    assert figures.refused == figures.errors == []


def test_command_revokes_while_redis_hangs(stage: Stage, traffic: Traffic) -> None:
    """Nobody is there any more to write what the command's process could not."""
    wait_for(lambda: stage.open_circuits() == 0)
    access, _ = traffic.spare
    user = jwt.decode(access, options={"verify_signature": False})["sub"]
    with ExitStack() as stack:
        clients = [stack.enter_context(server.session()) for server in stage.servers]
        assert {_ask(client, access) for client in clients} == {200}
        with disturbances.hanging(stage):
            stage.site.manage("revoke_tokens", "--user", user)
            assert {_ask(client, access) for client in clients} == {401}
        for _ in range(10):
            assert {_ask(client, access) for client in clients} == {401}


def _figures(stage: Stage, traffic: Traffic, disturb: Disturbance) -> Figures:
    """Disturb, wait until Redis answers every worker again, and sum up."""
    wait_for(lambda: stage.open_circuits() == 0)
    marks, began = stage.mark(), now()
    disturb(stage, SECONDS)
    ended, asked = now(), stage.hmgets()
    # A worker that did not see Redis away may believe a hash from before for its TTL.
    assert stage.workers_since(marks) == ALL_WORKERS
    wait_for(lambda: stage.hmgets() > asked, patience=TTL + 20)
    first = now() - ended
    wait_for(lambda: stage.open_circuits() == 0, patience=TTL + 20)
    every = now() - ended
    figures = traffic.between(began, now())
    LINES.append(
        f"{disturb.__name__:<16}{ended - began:>8.1f}{figures.requests:>9}"
        f"{figures.revocations:>8}{figures.ended:>7}{len(figures.accepted):>9}"
        f"{len(figures.refused):>8}{len(figures.errors):>4}{figures.median * 1000:>6.0f}ms"
        f"{figures.slowest:>7.2f}s{first:>6.1f}s{every:>8.1f}s"
    )
    return figures


def _ask(client: requests.Session, token: str) -> int:
    client.close()  # any worker may answer
    return client.get("/api/hello/", headers=bearer(token)).status_code
