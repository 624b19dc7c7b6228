"""The JWK Set and the metadata: ``path(".well-known/", include("jwt_auth.urls.well_known"))``."""

from django.urls import path, re_path

from jwt_auth.http.views.jwks import jwks
from jwt_auth.http.views.metadata import metadata

# The last of each pair is the published address, because reverse() begins with the last pattern.
# The first also takes a slash at the end, or the issuer's path.
urlpatterns = [
    path("jwks.json/", jwks),
    path("jwks.json", jwks, name="jwks"),
    re_path(r"^oauth-authorization-server(?P<issuer_path>/.*)$", metadata),
    path("oauth-authorization-server", metadata, name="oauth-metadata"),
]
