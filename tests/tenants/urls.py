"""The endpoints alone."""

from django.urls import include, path

urlpatterns = [path("api/auth/", include("jwt_auth.urls"))]
