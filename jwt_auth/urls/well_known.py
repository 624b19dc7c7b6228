"""The JWK Set: mount it with ``path(".well-known/", include("jwt_auth.urls.well_known"))``."""

from django.urls import re_path

from jwt_auth.http.views.jwks import jwks

urlpatterns = [re_path(r"^jwks\.json/?$", jwks, name="jwks")]
