"""The endpoints for other services, which authenticate with the id and secret of a service client.

Mount them with ``path("api/auth/", include("jwt_auth.urls.services"))``. Without that line, they
don't exist.
"""

from django.urls import re_path

from jwt_auth.http.views import denials, services

app_name = "jwt_auth_services"

urlpatterns = [
    re_path(r"^introspect/?$", services.IntrospectView.as_view(), name="introspect"),
    re_path(r"^revoke/?$", services.RevokeView.as_view(), name="revoke"),
    re_path(r"^denials/?$", denials.DenialsView.as_view(), name="denials"),
]
