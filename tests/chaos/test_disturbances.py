"""Traffic on two servers stays right whatever happens to Redis: it only gets slower."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.chaos import disturbances
from tests.chaos.report import LINES
from tests.chaos.stage import ALL_WORKERS, SECONDS, TTL, Stage
from tests.chaos.traffic import PROCESSES, VISITORS, Traffic, now, running
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

#: Sessions that a visitor has, at most one and a half a second go.
_EACH, _USERS = 6, int((len(ALL) * (SECONDS + TTL + 3) * 1.6) / 6 + 3)

_HEAD = (
    f"{'':<16}{'seconds':>8}{'requests':>9}{'revoked':>8}{'asked':>7}{'accepted':>9}"
    f"{'refused':>8}{'5xx':>4}{'median':>8}{'slowest':>8}{'first':>7}{'all back':>9}"
)


@pytest.fixture(scope="module")
def traffic(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traffic]:
    """Steady traffic of several processes on both servers; at its end all is asked once more."""
    stock = stage.make_stock(_USERS * PROCESSES * VISITORS, _EACH)
    LINES.append(_HEAD)
    with running(stage.servers, stock, tmp_path_factory.mktemp("notes")) as traffic:
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
    assert figures.accepted == figures.refused == figures.errors == []
    assert figures.revocations
    assert figures.ended
