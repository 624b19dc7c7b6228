"""Servers and commands on a Redis Cluster of which one slot is held in migration."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live.conftest import MakeSite
from tests.live.site import Server, Site
from tests.live.test_transcript import hello, log_in
from tests.revocation.redis.cluster import Migration, cluster_of_three
from tests.revocation.redis.scene import keys_of
from tests.revocation.redis.servers import RedisServer

pytestmark = [pytest.mark.live, pytest.mark.redis, pytest.mark.example]

USERS = [f"user{number}" for number in range(24)]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisServer]]:
    """Three servers that share the slots, and one without any."""
    with cluster_of_three(tmp_path_factory.mktemp("cluster")) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def site(nodes: list[RedisServer], make_site: MakeSite) -> Site:
    """The example project with the cluster."""
    return make_site(
        *USERS,
        DJANGO_SETTINGS_MODULE="tests.live.cluster_settings",
        CLUSTER_URL=f"redis://127.0.0.1:{nodes[0].port}",
    )


@pytest.fixture(scope="module")
def server(site: Site) -> Iterator[Server]:
    """Two workers."""
    with site.serve() as server:
        yield server


@pytest.mark.parametrize("number", [1, 3], ids=["another primary", "a node without slots"])
def test_every_worker_refuses_what_was_ended(
    number: int, nodes: list[RedisServer], site: Site, server: Server
) -> None:
    """By a request, by a command for one user and by one for all; and nobody counts a failure."""
    with server.session() as client:
        tokens = {name: log_in(client, name) for name in USERS}
    assert all(_answers(server, token) == {200} for token in tokens.values())
    heir = nodes[number]
    key = next(key for node in nodes if node is not heir for key in keys_of(node))
    migration = Migration(nodes, key, heir)
    migration.move_key()
    try:
        assert all(_answers(server, token) == {200} for token in tokens.values())
        moved = USERS[int(key.rpartition(b"{")[2].rstrip(b"}")) - 1]
        others = [name for name in USERS if name != moved]
        site.manage("revoke_tokens", "--user", moved)
        assert _answers(server, tokens[moved]) == {401}
        with server.session() as client:
            headers = {"Authorization": f"Bearer {tokens[others[0]]}"}
            assert client.post("/api/auth/logout/", headers=headers).status_code == 204
        assert _answers(server, tokens[others[0]]) == {401}
        assert _answers(server, tokens[others[1]]) == {200}
        site.manage("revoke_tokens", "--all")
        assert all(_answers(server, token) == {401} for token in tokens.values())
    finally:
        migration.give_up()
    assert "Redis has failed" not in server.read_log()


def _answers(server: Server, token: str) -> set[int]:
    """What the workers say to the token."""
    return set(server.ask_many(lambda client: hello(client, token), clients=4))
