"""Publish the metadata of the authorization server (RFC 8414): what is mounted here, and where."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import NotFound

from jwt_auth.conf import conf
from jwt_auth.http.mounts import find_path
from jwt_auth.http.public_documents import document, refusal, refuse_other_methods
from jwt_auth.http.views.jwks import jwks
from jwt_auth.http.views.services import IntrospectView, RevokeView
from jwt_auth.revocation.base import keeps_sessions

_MAX_AGE: Final = timedelta(minutes=5)

#: The members that name the endpoints for service clients.
_ENDPOINTS: Final = {
    "introspection_endpoint": IntrospectView,
    "revocation_endpoint": RevokeView,
}


@csrf_exempt  # as for the key set
def metadata(request: HttpRequest, issuer_path: str = "", **kwargs: Any) -> HttpResponse:
    """Answer with the metadata. ``issuer_path`` is what follows the well-known path.

    For an issuer with a path, such as ``https://example.com/one``, clients ask for
    ``/.well-known/oauth-authorization-server/one`` (RFC 8414 §3).
    """
    if refused := refuse_other_methods(request):
        return refused
    issuer = _issuer_url()
    if issuer_path.rstrip("/") not in {"", unquote(issuer.path).rstrip("/") if issuer else ""}:
        return refusal(NotFound())
    # Where clients see this server. Of a server that only verifies, the issuer is another one. A
    # URL from the Host header must not get into a cache, because any client can send one.
    origin = f"https://{issuer.netloc}" if issuer and conf.jwks_url is None else None
    members = _members(origin or request.build_absolute_uri("/").rstrip("/"))
    return document(
        request,
        members,
        content_type="application/json",
        max_age=None if origin is None else _MAX_AGE,
    )


def _issuer_url() -> SplitResult | None:
    """The issuer, if it is a URL as RFC 8414 §2 asks for; JWT allows any string."""
    try:
        parts = urlsplit(conf.issuer)
    except ValueError:
        return None
    return parts if parts.scheme == "https" and parts.netloc else None


def _members(origin: str) -> dict[str, Any]:
    members: dict[str, Any] = {"issuer": conf.issuer}
    if (path := find_path(lambda view: view is jwks)) is not None:
        members["jwks_uri"] = origin + path
    # A service that only verifies has no sessions, and its endpoints for services answer 503.
    for name, endpoint in _ENDPOINTS.items() if keeps_sessions() else ():
        if (path := _find_endpoint(endpoint)) is not None:
            members[name] = f"{origin}{path.rstrip('/')}/"
            members[f"{name}_auth_methods_supported"] = ["client_secret_basic"]
    # Empty, because no endpoint here is one of OAuth's for grants. If grant_types_supported were
    # missing, it would mean OAuth's code and implicit grants.
    return {**members, "response_types_supported": [], "grant_types_supported": []}


def _find_endpoint(endpoint: type[Any]) -> str | None:
    def is_endpoint(view: Any) -> bool:
        cls = getattr(view, "cls", None)
        return isinstance(cls, type) and issubclass(cls, endpoint)

    return find_path(is_endpoint)
