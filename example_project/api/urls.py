"""The endpoints' paths, with and without the trailing slash, like those of jwt_auth."""

from django.urls import re_path

from example_project.api import views

urlpatterns = [
    re_path(r"^hello/?$", views.HelloView.as_view(), name="hello"),
    re_path(r"^admin/keys/?$", views.KeysView.as_view(), name="keys"),
    re_path(r"^admin/metrics/?$", views.MetricsView.as_view(), name="metrics"),
    re_path(r"^tenant/?$", views.TenantView.as_view(), name="tenant"),
]
