"""Set and delete the refresh cookie and the access cookie.

A cookie is deleted with the attributes that it was set with: a browser keeps it otherwise. The
access cookie, if the project has turned it on, has the refresh cookie's ``Secure``, ``SameSite``
and ``Domain``, because both go to the same host. Its path is ``/``, because every view of the
project reads it, and because the prefix ``__Host-`` requires that path.
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
    """Set the refresh cookie, and the access cookie if the project has turned it on."""
    _set(
        response,
        conf.refresh_cookie_name,
        issued.refresh_token.text,
        max_age=issued.refresh_expires_in,
        **_refresh_cookie_attributes(mount),
    )
    if conf.access_cookie_name is not None:
        _set_access_cookie(response, conf.access_cookie_name, issued.access_token)


def delete_refresh_cookie(response: HttpResponseBase, *, mount: str) -> None:
    _delete(response, conf.refresh_cookie_name, _refresh_cookie_attributes(mount))


def delete_access_cookie(response: HttpResponseBase) -> None:
    """Delete the access cookie if the project has turned it on."""
    if conf.access_cookie_name is not None:
        _delete(response, conf.access_cookie_name, _access_cookie_attributes())


def mount_of(request: HttpRequest, route: str) -> str:
    """Return the path that the endpoints are mounted at, from a request to one of them.

    It is taken from the requested path. So it is also right if the endpoints are mounted several
    times, if the mount has a parameter, and if the site is under a prefix (``SCRIPT_NAME``).
    """
    path = request.path.rstrip("/")
    return path.removesuffix(route.rstrip("/"))


def _set_access_cookie(response: HttpResponseBase, name: str, token: IssuedAccessToken) -> None:
    if len(name) + len(token.text) > MAX_COOKIE:
        # Browsers ignore such a cookie silently, and would keep sending the former one.
        logger.error("An access token is too long for a cookie: issue fewer roles or claims.")
        _delete(response, name, _access_cookie_attributes())
    else:
        _set(response, name, token.text, max_age=token.expires_in, **_access_cookie_attributes())


def _delete(response: HttpResponseBase, name: str, attributes: dict[str, Any]) -> None:
    # Not delete_cookie(): it derives Secure from the cookie's name and omits HttpOnly.
    _set(response, name, "", max_age=0, expires="Thu, 01 Jan 1970 00:00:00 GMT", **attributes)


def _set(response: HttpResponseBase, name: str, value: str, **attributes: Any) -> None:
    response.set_cookie(name, value, **attributes)
    if conf.refresh_cookie_partitioned:
        # Neither Django nor, before Python 3.14, http.cookies knows this attribute.
        response.cookies[name]["samesite"] += "; Partitioned"


def _refresh_cookie_attributes(mount: str) -> dict[str, Any]:
    # Escaped, as the browser sent it: an unescaped ";" in a path would start a new attribute.
    return _attributes(conf.refresh_cookie_path or escape_uri_path(mount))


def _access_cookie_attributes() -> dict[str, Any]:
    return _attributes("/")


def _attributes(path: str) -> dict[str, Any]:
    return {
        "path": path,
        "domain": conf.refresh_cookie_domain,
        "secure": conf.refresh_cookie_secure,
        "httponly": True,
        "samesite": conf.refresh_cookie_samesite,
    }
