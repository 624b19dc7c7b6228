"""Publish JSON documents that need no credentials and that caches may keep."""

from __future__ import annotations

import json
from datetime import timedelta
from hashlib import sha256
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.cache import get_conditional_response
from rest_framework.exceptions import APIException, MethodNotAllowed


def refuse_other_methods(request: HttpRequest) -> HttpResponse | None:
    """Answer a request whose method is neither GET nor HEAD."""
    if request.method in {"GET", "HEAD"}:
        return None
    return refusal(MethodNotAllowed(str(request.method)), headers={"Allow": "GET, HEAD"})


def refusal(problem: APIException, **named: Any) -> HttpResponse:
    body = {"detail": str(problem.detail), "code": problem.get_codes()}
    return JsonResponse(body, status=problem.status_code, **named)


def document(
    request: HttpRequest, members: object, *, content_type: str, max_age: timedelta | None
) -> HttpResponse:
    """Answer with the document, or with 304 to a client that has it (RFC 9110 §13.1.2).

    Without a ``max_age``, no cache may keep it.
    """
    body = json.dumps(members, separators=(",", ":")).encode()
    etag = f'"{sha256(body).hexdigest()[:32]}"'
    cached = "no-store" if max_age is None else f"public, max-age={int(max_age.total_seconds())}"
    response = HttpResponse(
        body, content_type=content_type, headers={"Cache-Control": cached, "ETag": etag}
    )
    return get_conditional_response(request, etag=etag, response=response) or response
