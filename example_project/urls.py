"""The URLs of the example: jwt_auth's endpoints, the API, the admin and the page."""

from django.contrib import admin
from django.contrib.staticfiles.views import serve
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

from example_project.api.docs import DocsView
from example_project.demo.views import page

urlpatterns = [
    path("", page, name="page"),
    path("api/auth/", include("jwt_auth.urls")),
    # For other services, which ask about tokens with the id and secret of a service client.
    path("api/auth/", include("jwt_auth.urls.services")),
    # The same endpoints for clients without a cookie jar: the refresh token is in the body.
    path("api/mobile/auth/", include("jwt_auth.urls.body")),
    path("api/", include("example_project.api.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", DocsView.as_view(), name="docs"),
    path(".well-known/", include("jwt_auth.urls.well_known")),
    path("admin/", admin.site.urls),
    # So that the page also works under a WSGI server with DEBUG off. It is slow: in production, let
    # the web server or WhiteNoise serve static files.
    path("static/<path:path>", serve, {"insecure": True}),
]
