"""A session for whom Django's own pages have logged in: the admin, allauth, a form of the project.

:func:`open_session` is what a project calls after Django's ``login()``. A Django log-out in the
same browser ends the session, too.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponseBase
from django.urls import NoReverseMatch, reverse
from django.utils.cache import patch_cache_control

from jwt_auth import flows
from jwt_auth.conf import conf
from jwt_auth.exceptions import LogInRefused
from jwt_auth.flows import Issued
from jwt_auth.http.addresses import client_of
from jwt_auth.http.cookies import set_token_cookies
from jwt_auth.models import Reason

#: Where Django's session notes which of ours was opened beside it.
_NOTE: Final = "_jwt_auth_session"


def open_session(
    request: HttpRequest,
    response: HttpResponseBase,
    user: AbstractBaseUser | AnonymousUser,
    *,
    mount: str | None = None,
    password: str | None = None,
) -> Issued:
    """Open a session for the user that Django's ``login()`` has just logged in, and set its cookies
    on the response.

    Call it once for each log-in, not at each request: every call opens another session. ``mount``
    is the path of the endpoints, such as ``"/api/auth/"``, where ``reverse()`` can't find it. With
    the ``password`` that was given, several log-ins at once that hash it anew each get a session.

    Raises:
        LogInRefused: the user is not logged in, gone, inactive, or has another password since.
        ClaimsInvalid, KeyFailure: no token can be issued; no session is left behind.
        ImproperlyConfigured: the endpoints are not mounted, or in a place that has parameters.
    """
    if isinstance(user, AnonymousUser):
        raise LogInRefused
    # With its slash, as the endpoints themselves set it: else a browser would keep two cookies.
    path = _mount() if mount is None else mount.rstrip("/") + "/"
    issued = flows.log_in(user, client=client_of(request), now=datetime.now(UTC), password=password)
    set_token_cookies(response, issued, mount=path)
    patch_cache_control(response, no_store=True)
    if hasattr(request, "session"):
        _end_noted(request)  # the one of the same user's log-in before, whose cookie is replaced
        request.session[_NOTE] = str(issued.family.pk)
    return issued


def end_session_on_log_out(*, request: HttpRequest | None, **kwargs: Any) -> None:
    """End the session that was opened beside the one of Django's that ends (``user_logged_out``).

    Its own cookie doesn't tell of it: browsers send that to the endpoints only.
    """
    if request is not None and hasattr(request, "session"):
        _end_noted(request)


def _end_noted(request: HttpRequest) -> None:
    note = request.session.get(_NOTE)
    if note is not None:
        flows.end_session(
            UUID(note), reason=Reason.LOGOUT, client=client_of(request), now=datetime.now(UTC)
        )


def _mount() -> str:
    if conf.refresh_cookie_path is not None:
        return conf.refresh_cookie_path
    try:
        # Unquoted, as a request's path is: the cookie's path is quoted when it is written.
        return unquote(reverse("jwt_auth:refresh")).removesuffix("refresh")
    except NoReverseMatch:
        raise ImproperlyConfigured(
            "The cookie's path is that of jwt_auth.urls, which reverse() does not find: include "
            "them without parameters, or give open_session() the mount."
        ) from None
