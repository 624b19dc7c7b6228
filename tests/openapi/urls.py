"""Every mount, one of them twice, and one below a parameter."""

from django.urls import include, path

urlpatterns = [
    path("api/auth/", include("jwt_auth.urls")),
    path("api/auth/", include("jwt_auth.urls.services")),
    path("api/mobile/auth/", include("jwt_auth.urls.body")),
    path("api/v2/auth/", include("jwt_auth.urls", namespace="second")),
    path("t/<slug:tenant>/auth/", include("jwt_auth.urls", namespace="tenants")),
    path(".well-known/", include("jwt_auth.urls.well_known")),
]
