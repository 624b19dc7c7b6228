"""Open a JWT session for a user who logged in through Django: the admin, allauth or a form.

A project calls :func:`open_session` after Django's ``login()``. Logging out of Django in the same
browser ends the JWT session, too.
"""

from __future__ import annotations

from collections.abc import Mapping
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

#: The key under which Django's session holds the id of the JWT session that was opened with it.
_SESSION_ID: Final = "_jwt_auth_session"


def open_session(
    request: HttpRequest,
    response: HttpResponseBase,
    user: AbstractBaseUser | AnonymousUser,
    *,
    mount: str | None = None,
    password: str | None = None,
    remember_me: bool = False,
    claims: Mapping[str, Any] | None = None,
) -> Issued:
    """Open a session for the user that Django's ``login()`` has just logged in, and set its cookies
    on the response.

    Call it once per login, not per request: every call opens another session. ``mount`` is the path
    of the endpoints, such as ``"/api/auth/"``; it is needed if ``reverse()`` can't find them. Pass
    the ``password`` that the user typed if logins may happen at the same time: when one of them
    hashes the password with newer parameters, the others get a session all the same.
    ``remember_me`` is for the callable of ``JWT_AUTH_SESSION_LIFETIMES``. Each access token of the
    session has the ``claims``, as :func:`jwt_auth.flows.log_in` says: after a second factor, pass
    ``{"amr": ["pwd", "otp"]}``.

    Raises:
        LogInRefused: the user is not logged in, doesn't exist any more, is inactive, or has a new
            password by now.
        LifetimesInvalid: ``JWT_AUTH_SESSION_LIFETIMES`` returned unusable values.
        ClaimsInvalid, KeyFailure: no token can be issued; no session was opened.
        ImproperlyConfigured: the endpoints are not mounted, or their mount has parameters.
    """
    if isinstance(user, AnonymousUser):
        raise LogInRefused
    # With the final slash, as the endpoints set the cookie: with a different path, a browser would
    # keep two cookies.
    path = _mount() if mount is None else mount.rstrip("/") + "/"
    issued = flows.log_in(
        user,
        client=client_of(request),
        now=datetime.now(UTC),
        password=password,
        remember_me=remember_me,
        claims=claims,
    )
    set_token_cookies(response, issued, mount=path)
    patch_cache_control(response, no_store=True)
    if hasattr(request, "session"):
        # The session of an earlier login in this browser: its cookie has just been replaced.
        _end_linked_session(request)
        request.session[_SESSION_ID] = str(issued.family.pk)
    return issued


def end_session_on_log_out(*, request: HttpRequest | None, **kwargs: Any) -> None:
    """End the JWT session that belongs to the Django session that ends (``user_logged_out``).

    Django's session has to hold its id: browsers send the refresh cookie to the endpoints only, so
    this request doesn't carry it.
    """
    if request is not None and hasattr(request, "session"):
        _end_linked_session(request)


def _end_linked_session(request: HttpRequest) -> None:
    session_id = request.session.get(_SESSION_ID)
    if session_id is not None:
        flows.end_session(
            UUID(session_id), reason=Reason.LOGOUT, client=client_of(request), now=datetime.now(UTC)
        )


def _mount() -> str:
    if conf.refresh_cookie_path is not None:
        return conf.refresh_cookie_path
    try:
        # Unquoted, like the path of a request: the cookie's path is quoted when it is set.
        return unquote(reverse("jwt_auth:refresh")).removesuffix("refresh")
    except NoReverseMatch:
        raise ImproperlyConfigured(
            "The refresh cookie's path is the mount of jwt_auth.urls, and reverse() can't find it: "
            "include jwt_auth.urls without parameters, or pass the mount to open_session()."
        ) from None
