"""The endpoints in places where `reverse()` finds them only by their whole names."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from jwt_auth.http.views.services import IntrospectView


class Subclass(IntrospectView):
    """A project's own."""


def other(request: HttpRequest) -> HttpResponse:
    """Have a name that jwt_auth uses, too."""
    raise NotImplementedError


inner = (
    [
        path("unnamed/", Subclass.as_view()),
        path("own/", Subclass.as_view(), name="introspect"),
        path("in/", include("jwt_auth.urls.services", namespace="two")),
    ],
    "project",
)
urlpatterns = [
    path("mine/", other, name="jwks"),
    path("t/<str:tenant>/", include("jwt_auth.urls.services", namespace="tenant")),
    path("outer/", include(inner)),
    path("public/", include("jwt_auth.urls.well_known")),
    path("mine/too/", other, name="jwks"),
    path("again/", include("jwt_auth.urls.services", namespace="again")),
]
