"""Which worker has answered: with several behind one address, a test can't choose one."""

from __future__ import annotations

import os
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

WORKER = "X-Worker"

Respond = Callable[[HttpRequest], HttpResponse]


def name_worker(respond: Respond) -> Respond:
    """Put the worker's process id in every answer; a middleware."""

    def respond_by_name(request: HttpRequest) -> HttpResponse:
        response = respond(request)
        response[WORKER] = str(os.getpid())
        return response

    return respond_by_name
