"""The issuer's ``verify/`` over real HTTP, on threads of this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections
from rest_framework.test import APIClient

from tests.keys.remote.service import Answer, Request, Service


@contextmanager
def serving_verify() -> Iterator[Service]:
    """Serve it; its ``requests`` are those that came."""
    with Service(_verify).running() as service:
        yield service


def _verify(request: Request) -> Answer:
    try:
        given = APIClient().get("/api/auth/verify/", headers=dict(request.headers), secure=True)
    finally:
        connections.close_all()
    challenge = {"WWW-Authenticate": given.get("WWW-Authenticate", "")}
    return Answer(status=given.status_code, body=given.content, headers=challenge)
