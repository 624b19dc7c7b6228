"""django-axes: the answer to a log-in that it has locked out, in the form of all others.

``AXES_LOCKOUT_CALLABLE = "jwt_auth.contrib.axes.locked_out"``. Axes replaces the answer of whatever
view has asked Django to authenticate; by itself it writes a page for people.
"""

from __future__ import annotations

from typing import Any

from axes.conf import settings
from axes.helpers import get_cool_off, get_lockout_message
from django.http import HttpRequest, HttpResponse, JsonResponse
from rest_framework.views import APIView


def locked_out(request: HttpRequest, *unused: Any) -> HttpResponse:
    """Answer ``{"detail": …, "code": "locked_out"}`` for an API, axes's own sentence for a page.

    What axes gives besides (its versions differ in that) is the view's answer and the credentials.
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
