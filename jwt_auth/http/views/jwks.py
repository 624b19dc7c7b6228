"""Publish the JWK Set, with which other services verify our tokens (RFC 7517 §5, §8.5)."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from jwt_auth.conf import JWKS_MAX_AGE
from jwt_auth.exceptions import KeyFailure
from jwt_auth.http.api_exceptions import Unavailable
from jwt_auth.http.public_documents import document, refusal, refuse_other_methods
from jwt_auth.keys import cache

logger: Final = logging.getLogger("jwt_auth")


@csrf_exempt  # it changes nothing; the middleware's refusal of a POST would be a page of HTML
def jwks(request: HttpRequest, **kwargs: Any) -> HttpResponse:
    if refused := refuse_other_methods(request):
        return refused
    try:
        keys = cache.get_jwk_set(datetime.now(UTC))
    except KeyFailure as failure:
        logger.error("The JWK Set can't be published: %s", failure)
        return refusal(Unavailable())
    return document(request, keys, content_type="application/jwk-set+json", max_age=JWKS_MAX_AGE)
