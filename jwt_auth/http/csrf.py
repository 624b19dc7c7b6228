"""CSRF protection for requests that carry the access token in a cookie.

A browser attaches the cookie to a request from any page, so the request must show that one of the
project's pages sent it. Two checks are made: the browser's headers must not name another site, and
a request that can change something needs Django's CSRF token, as with REST framework's
``SessionAuthentication``.
"""

from __future__ import annotations

from typing import Any, NoReturn

from django.conf import settings
from django.http import HttpResponse
from django.middleware.csrf import rotate_token
from rest_framework.authentication import CSRFCheck
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from jwt_auth import signals
from jwt_auth.conf import conf
from jwt_auth.http.addresses import client_of
from jwt_auth.http.api_exceptions import CrossSiteRequest, CSRFTokenRefused
from jwt_auth.http.development import explain_csrf_refusal, explain_origin
from jwt_auth.http.origins import is_cross_site, is_link


def require_own_page(request: Request, *, sender: type) -> None:
    """Refuse a request that another site's page may have sent.

    Raises:
        CrossSiteRequest: the browser's headers say that another site's page sent it.
        CSRFTokenRefused: its method can change something, and its CSRF token is missing or wrong.
    """
    if is_cross_site(request) and not is_link(request):
        refuse_cross_site(request, sender=sender)
    check = CSRFCheck(lambda request: HttpResponse())  # the response is never asked for
    reason = check.process_view(request, None, (), {})  # type: ignore[arg-type]  # as in DRF
    if reason is not None:
        _report(request, sender=sender, reason="csrf_token")
        raise _explained(CSRFTokenRefused, explain_csrf_refusal(str(reason)))


def refuse_cross_site(request: Request, *, sender: type) -> NoReturn:
    _report(request, sender=sender, reason="origin")
    raise _explained(CrossSiteRequest, explain_origin(request.headers.get("Origin")))


def _explained(refusal: type[APIException], explanation: str) -> APIException:
    """Make the exception. With DEBUG on only, it says what a developer has to change."""
    return refusal(f"{refusal.default_detail} {explanation}" if settings.DEBUG else None)


def _report(request: Request, *, sender: type, reason: str) -> None:
    signals.cross_site_refused.send_robust(
        sender=sender, path=request.path, client=client_of(request), reason=reason
    )


def renew_csrf_secret(request: Request) -> None:
    """Give a login a new CSRF secret, as Django's ``login()`` does.

    An attacker may have planted the former secret in this browser.
    """
    if conf.access_cookie_name is not None:
        rotate_token(request._request)


def vary_on_cookie(request: Request) -> None:
    """Keep shared caches from serving one visitor's response to another.

    Shared caches don't store responses to requests with an ``Authorization`` header (RFC 9111
    §3.5). For a cookie, the response has to say it, with ``Vary``. An authentication class has no
    response to set it on, so it goes into the headers that the view sends with its response.
    """
    view: Any = request.parser_context.get("view")
    headers = getattr(view, "headers", None)
    if headers is not None:
        named = headers.get("Vary")
        headers["Vary"] = f"{named}, Cookie" if named else "Cookie"
