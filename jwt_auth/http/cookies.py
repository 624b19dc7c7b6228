"""The cookies, each set and deleted with one set of attributes: a browser deletes only what
matches.

The access cookie, where the project has one, shares the refresh cookie's ``Secure``, ``SameSite``
and ``Domain``, because both go to the same host; its path is ``/``, because every endpoint reads
it, and ``__Host-`` asks for that.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from django.http import HttpRequest, HttpResponseBase
from django.utils.encoding import escape_uri_path

from jwt_auth.conf import conf
from jwt_auth.flows import Issued
from jwt_auth.http.credentials import MAX_COOKIE
from jwt_auth.tokens.access import IssuedAccessToken

logger: Final = logging.getLogger("jwt_auth")


def set_token_cookies(response: HttpResponseBase, issued: Issued, *, mount: str) -> None:
    """Set the refresh cookie, and the access cookie where the project has one."""
    _set(
        response,
        conf.refresh_cookie_name,
        issued.refresh_token.text,
        max_age=issued.refresh_expires_in,
        **_at_mount(mount),
    )
    if conf.access_cookie_name is not None:
        _set_access_cookie(response, conf.access_cookie_name, issued.access_token)


def delete_refresh_cookie(response: HttpResponseBase, *, mount: str) -> None:
    _delete(response, conf.refresh_cookie_name, _at_mount(mount))


def delete_access_cookie(response: HttpResponseBase) -> None:
    """Delete the access cookie where the project has turned it on."""
    if conf.access_cookie_name is not None:
        _delete(response, conf.access_cookie_name, _everywhere())


def mount_of(request: HttpRequest, route: str) -> str:
    """The path that the endpoints are mounted at, from the request for one of them.

    Taken from the address that the browser asked for, so that several mounts, a parameter in a
    mount and a site under a prefix (``SCRIPT_NAME``) each get their own.
    """
    path = request.path.rstrip("/")
    return path.removesuffix(route.rstrip("/"))


def _set_access_cookie(response: HttpResponseBase, name: str, token: IssuedAccessToken) -> None:
    if len(name) + len(token.text) > MAX_COOKIE:
        # Browsers drop such a cookie without a word, and would go on sending the one from before.
        logger.error("An access token is too long for a cookie: issue fewer roles or claims.")
        _delete(response, name, _everywhere())
    else:
        _set(response, name, token.text, max_age=token.expires_in, **_everywhere())


def _delete(response: HttpResponseBase, name: str, attributes: dict[str, Any]) -> None:
    # Not delete_cookie(): it guesses Secure from the name and would leave HttpOnly out.
    _set(response, name, "", max_age=0, expires="Thu, 01 Jan 1970 00:00:00 GMT", **attributes)


def _set(response: HttpResponseBase, name: str, value: str, **attributes: Any) -> None:
    response.set_cookie(name, value, **attributes)
    if conf.refresh_cookie_partitioned:
        # Django has no name for it, nor http.cookies before Python 3.14.
        response.cookies[name]["samesite"] += "; Partitioned"


def _at_mount(mount: str) -> dict[str, Any]:
    # Escaped, as the browser sent it: a raw ";" in a path would start an attribute of its own.
    return _attributes(conf.refresh_cookie_path or escape_uri_path(mount))


def _everywhere() -> dict[str, Any]:
    return _attributes("/")


def _attributes(path: str) -> dict[str, Any]:
    return {
        "path": path,
        "domain": conf.refresh_cookie_domain,
        "secure": conf.refresh_cookie_secure,
        "httponly": True,
        "samesite": conf.refresh_cookie_samesite,
    }
