"""The refresh cookie, set and deleted with one set of attributes: a browser deletes only what
matches.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.utils.encoding import escape_uri_path

from jwt_auth.conf import conf


def set_refresh_cookie(response: HttpResponseBase, token: str, *, max_age: int, mount: str) -> None:
    response.set_cookie(conf.refresh_cookie_name, token, max_age=max_age, **_attributes(mount))


def delete_refresh_cookie(response: HttpResponseBase, *, mount: str) -> None:
    # Not delete_cookie(): it guesses Secure from the name and would leave HttpOnly out.
    response.set_cookie(
        conf.refresh_cookie_name,
        "",
        max_age=0,
        expires="Thu, 01 Jan 1970 00:00:00 GMT",
        **_attributes(mount),
    )


def mount_of(request: HttpRequest, route: str) -> str:
    """The path that the endpoints are mounted at, from the request for one of them.

    Taken from the address that the browser asked for, so that several mounts, a parameter in a
    mount and a site under a prefix (``SCRIPT_NAME``) each get their own.
    """
    path = request.path.rstrip("/")
    return path.removesuffix(route.rstrip("/"))


def _attributes(mount: str) -> dict[str, Any]:
    return {
        # Escaped, as the browser sent it: a raw ";" in a path would start an attribute of its own.
        "path": conf.refresh_cookie_path or escape_uri_path(mount),
        "domain": conf.refresh_cookie_domain,
        "secure": conf.refresh_cookie_secure,
        "httponly": True,
        "samesite": conf.refresh_cookie_samesite,
    }
