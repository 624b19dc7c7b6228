"""Ask the sentinels of a django-redis cache, within a time limit, where the primary is."""

from __future__ import annotations

from typing import Any

from redis import exceptions
from redis.exceptions import RedisError
from redis.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool


class BoundedSentinels:
    """Replaces the pool that redis-py's Sentinel connection asks for the address of the primary.

    It adds time-outs: the sentinels of a django-redis cache have none unless the project sets them,
    and a sentinel that hangs would make every request hang.
    """

    is_master = True
    check_connection = False

    def __init__(self, pool: SentinelConnectionPool, options: dict[str, Any]) -> None:
        self.service_name = pool.service_name
        self._manager = pool.sentinel_manager
        self._options = options

    def get_master_address(self) -> Any:
        manager = self._manager
        addresses = [
            (kwargs["host"], kwargs["port"])
            for sentinel in manager.sentinels
            for kwargs in [sentinel.connection_pool.connection_kwargs]
        ]
        make: Any = Sentinel  # without types
        bounded = make(
            addresses,
            min_other_sentinels=manager.min_other_sentinels,
            sentinel_kwargs={**manager.sentinel_kwargs, **self._options},
        )
        # The same steps as discover_master(), whose error has only a text, which quotes addresses.
        failure: RedisError = MasterNotFoundError(self.service_name)
        try:
            for sentinel in bounded.sentinels:
                try:
                    state = sentinel.sentinel_masters().get(self.service_name)
                except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
                    failure = error
                    continue
                if state and bounded.check_master_state(state, self.service_name):
                    return state["ip"], state["port"]
            raise failure
        finally:
            for sentinel in bounded.sentinels:
                sentinel.close()
