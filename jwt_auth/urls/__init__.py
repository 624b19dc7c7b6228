"""The endpoints for browsers, with the refresh token in a cookie.

Mount them with ``path("api/auth/", include("jwt_auth.urls"))``. ``jwt_auth.urls.body`` has the same
endpoints for clients without a cookie jar, ``jwt_auth.urls.well_known`` the public keys. Every path
works with and without its trailing slash.
"""

from jwt_auth.http.transports import CookieTransport
from jwt_auth.urls.endpoints import endpoints

app_name = "jwt_auth"

urlpatterns = endpoints(CookieTransport())
