"""The endpoints for clients without a cookie jar, with the refresh token in the body.

They are not for browsers: an injected script could steal a token that the page's script can read.
"""

from jwt_auth.http.transports import BodyTransport
from jwt_auth.urls.endpoints import endpoints

app_name = "jwt_auth_body"

urlpatterns = endpoints(BodyTransport())
