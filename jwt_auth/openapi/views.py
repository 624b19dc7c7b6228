"""Describe the endpoints by our table instead of by what drf-spectacular can guess."""

from __future__ import annotations

from functools import wraps
from typing import Any, Final

from drf_spectacular.extensions import OpenApiViewExtension
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.views import APIView

from jwt_auth.http.views.base import AuthView
from jwt_auth.http.views.jwks import jwks
from jwt_auth.http.views.metadata import metadata
from jwt_auth.openapi.schema import EndpointSchema


class EndpointExtension(OpenApiViewExtension):
    """Every endpoint, and a project's subclasses of them."""

    target_class = AuthView
    match_subclasses = True

    def view_replacement(self) -> type[APIView]:
        # No annotation of the views themselves: they must not need drf-spectacular.
        members = {
            name: _combined(method)
            for name in APIView.http_method_names
            if "schema" in getattr(method := getattr(self.target, name, None), "kwargs", ())
        }
        return type(self.target.__name__, (self.target,), {"schema": EndpointSchema(), **members})


def _combined(method: Any) -> Any:
    """Put a project's ``@extend_schema`` on top of ours, instead of in its place."""

    @wraps(method)
    def described(*args: Any, **kwargs: Any) -> Any: ...

    schema = type("Combined", (method.kwargs["schema"], EndpointSchema), {})
    described.kwargs = {**method.kwargs, "schema": schema}  # type: ignore[attr-defined]  # as in REST framework
    return described


class PublicDocument(APIView):
    """Stands for a view that is a plain function. It never gets a request."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()
    renderer_classes = (JSONRenderer,)
    versioning_class = None
    schema: Any = EndpointSchema()


_ROUTES: Final[tuple[tuple[Any, str], ...]] = (
    (jwks, "jwks.json"),
    (metadata, "oauth-authorization-server"),
)
for _view, _route in _ROUTES:
    # Where REST framework's own class-based views have their class: drf-spectacular looks there.
    _view.cls = type(_view.__name__, (PublicDocument,), {"route": _route, "get": _view})
    _view.initkwargs = {}
