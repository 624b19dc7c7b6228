"""The JWK Set and the metadata: ``path(".well-known/", include("jwt_auth.urls.well_known"))``."""

from django.urls import re_path

from jwt_auth.http.views.jwks import jwks
from jwt_auth.http.views.metadata import metadata

urlpatterns = [
    re_path(r"^jwks\.json/?$", jwks, name="jwks"),
    re_path(r"^oauth-authorization-server(?P<issuer_path>/.*)?$", metadata, name="oauth-metadata"),
]
