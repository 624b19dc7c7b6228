"""Describe the endpoints by our table instead of by what drf-spectacular can guess."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from drf_spectacular.extensions import OpenApiViewExtension
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
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
        return type(self.target.__name__, (self.target,), {"schema": EndpointSchema()})


class PublicDocument(APIView):
    """A stand-in for one of the two views that are plain functions. It never gets a request."""

    route: ClassVar[str]
    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()
    renderer_classes = (JSONRenderer,)
    versioning_class = None
    schema: Any = EndpointSchema()

    def get(self, request: Request) -> Response:
        """Exist, so that the schema has this method."""
        raise NotImplementedError


class JWKSetDocument(PublicDocument):
    route = "jwks.json"


class MetadataDocument(PublicDocument):
    route = "oauth-authorization-server"


_STAND_INS: Final[tuple[tuple[Any, type[APIView]], ...]] = (
    (jwks, JWKSetDocument),
    (metadata, MetadataDocument),
)
for _view, _stand_in in _STAND_INS:
    # Where REST framework's own class-based views have their class: drf-spectacular looks there.
    _view.cls = _stand_in
    _view.initkwargs = {}
