"""The endpoints, refresh token in request and response bodies: for clients that have no cookie jar.

Not for browsers: what a page's script can read, an injected script can steal.
"""

from jwt_auth.http.transports import BodyTransport
from jwt_auth.urls.endpoints import endpoints

app_name = "jwt_auth_body"

urlpatterns = endpoints(BodyTransport())
