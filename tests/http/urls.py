"""The endpoints in several places at once."""

from django.urls import include, path

urlpatterns = [
    path("api/auth/", include("jwt_auth.urls")),
    path("shop/auth/", include("jwt_auth.urls", namespace="shop")),
    path("t/<str:tenant>/auth/", include("jwt_auth.urls", namespace="tenant")),
    path("", include("jwt_auth.urls", namespace="root")),
    path("api/mobile/auth/", include("jwt_auth.urls.body")),
]
