"""The settings of the live tests, with a Redis Cluster for revocations."""

import os

from tests.live.settings import *
from tests.live.settings import CACHES

CACHES = {
    **CACHES,
    "revocation": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": os.environ["CLUSTER_URL"],
        "OPTIONS": {
            "CONNECTION_FACTORY": "jwt_auth.revocation.cluster.ClusterConnectionFactory",
            "SOCKET_TIMEOUT": 60,
        },
    },
}
JWT_AUTH_REVOCATION = {
    "BACKEND": "jwt_auth.revocation.redis.RedisRevocation",
    # Where an answer takes longer, the database answers, and the test would see nothing of Redis.
    "OPTIONS": {"CACHE": "revocation", "TIMEOUT": 60, "TTL": 3600},
}
