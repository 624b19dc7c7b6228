"""django-axes: answer a locked-out login in the same JSON form as all other errors.

Set ``AXES_LOCKOUT_CALLABLE = "jwt_auth.contrib.axes.locked_out"``. Axes replaces the response of
every view that has called Django's ``authenticate()``. By default it responds with an HTML page.
"""

from __future__ import annotations

from typing import Any

from axes.conf import settings
from axes.helpers import get_cool_off, get_lockout_message
from django.http import HttpRequest, HttpResponse, JsonResponse
from rest_framework.views import APIView


def locked_out(request: HttpRequest, *unused: Any) -> HttpResponse:
    """Answer an API request with ``{"detail": …, "code": "locked_out"}``, a page with axes's text.

    Axes also passes the view's response and the credentials, which differ between its versions.
    """
    status, message = settings.AXES_HTTP_RESPONSE_CODE, get_lockout_message()
    if not _is_api(request):
        return HttpResponse(message, status=status)
    response = JsonResponse({"detail": str(message), "code": "locked_out"}, status=status)
    response["Cache-Control"] = "no-store"
    cool_off = get_cool_off(request)
    if cool_off is not None:
        response["Retry-After"] = str(int(cool_off.total_seconds()))
    return response


def _is_api(request: HttpRequest) -> bool:
    match = request.resolver_match
    view = getattr(match and match.func, "cls", None)  # set by REST framework's as_view()
    return isinstance(view, type) and issubclass(view, APIView)
