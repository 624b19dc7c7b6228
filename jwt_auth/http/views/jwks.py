"""Publish the JWK Set, with which other services verify our tokens (RFC 7517 §5, §8.5)."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.cache import get_conditional_response
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import APIException, MethodNotAllowed

from jwt_auth.conf import JWKS_MAX_AGE
from jwt_auth.exceptions import KeyFailure
from jwt_auth.http.api_exceptions import Unavailable
from jwt_auth.keys import cache

logger: Final = logging.getLogger("jwt_auth")


@csrf_exempt  # it changes nothing; the middleware's refusal of a POST would be a page of HTML
def jwks(request: HttpRequest, **kwargs: Any) -> HttpResponse:
    if request.method not in {"GET", "HEAD"}:
        return _answer(MethodNotAllowed(str(request.method)), headers={"Allow": "GET, HEAD"})
    try:
        body = json.dumps(cache.get_jwk_set(datetime.now(UTC)), separators=(",", ":")).encode()
    except KeyFailure as failure:
        logger.error("The JWK Set can't be published: %s", failure)
        return _answer(Unavailable())
    etag = f'"{sha256(body).hexdigest()[:32]}"'
    response = HttpResponse(
        body,
        content_type="application/jwk-set+json",
        headers={
            "Cache-Control": f"public, max-age={int(JWKS_MAX_AGE.total_seconds())}",
            "ETag": etag,
        },
    )
    return get_conditional_response(request, etag=etag, response=response) or response


def _answer(problem: APIException, **named: Any) -> HttpResponse:
    body = {"detail": str(problem.detail), "code": problem.get_codes()}
    return JsonResponse(body, status=problem.status_code, **named)
