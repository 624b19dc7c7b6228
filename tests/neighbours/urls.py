"""The example's paths, and allauth's pages."""

from django.urls import include, path

from example_project.urls import urlpatterns as example

urlpatterns = [path("accounts/", include("allauth.urls")), *example]
