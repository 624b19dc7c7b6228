"""What a request must show whose access token the browser attached by itself.

A cookie goes out with whatever page asks, so the request must come from a page of ours: by where
the browser says that it comes from, and, where it could change anything, by Django's CSRF token,
as REST framework's ``SessionAuthentication`` asks for it.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.middleware.csrf import rotate_token
from rest_framework.authentication import CSRFCheck
from rest_framework.request import Request

from jwt_auth import signals
from jwt_auth.conf import conf
from jwt_auth.http.addresses import client_of
from jwt_auth.http.api_exceptions import CrossSiteRequest, CSRFTokenRefused
from jwt_auth.http.origins import is_cross_site, is_link


def require_own_page(request: Request, *, sender: type) -> None:
    """Refuse a request that may be of another site's making.

    Raises:
        CrossSiteRequest: the browser says that another site's page sent it.
        CSRFTokenRefused: it could change something, and has no CSRF token that fits.
    """
    if is_cross_site(request) and not is_link(request):
        report(request, sender=sender, reason="origin")
        raise CrossSiteRequest
    check = CSRFCheck(lambda request: HttpResponse())  # as a check, it asks for none
    if check.process_view(request, None, (), {}) is not None:  # type: ignore[arg-type]  # as in DRF
        report(request, sender=sender, reason="csrf_token")
        raise CSRFTokenRefused


def report(request: Request, *, sender: type, reason: str) -> None:
    signals.cross_site_refused.send_robust(
        sender=sender, path=request.path, client=client_of(request), reason=reason
    )


def renew_csrf_secret(request: Request) -> None:
    """Begin a log-in with a new CSRF secret, as Django's ``login()`` does: somebody else may have
    planted the one before.
    """
    if conf.access_cookie_name is not None:
        rotate_token(request._request)


def vary_on_cookie(request: Request) -> None:
    """Keep caches from giving one visitor's answer to another.

    For an ``Authorization`` header shared caches know it by themselves (RFC 9111 §3.5), for a
    cookie they must be told, and an authentication class gets no response to say it on but the
    headers that its view has ready.
    """
    view: Any = request.parser_context.get("view")
    headers = getattr(view, "headers", None)
    if headers is not None:
        named = headers.get("Vary")
        headers["Vary"] = f"{named}, Cookie" if named else "Cookie"
