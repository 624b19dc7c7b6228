"""The metadata alone."""

from django.urls import path

from jwt_auth.http.views.metadata import metadata

urlpatterns = [path("only/", metadata)]
