"""The part of a service's settings by which it learns what the issuer has revoked."""

import os

JWT_AUTH_REVOCATION = {
    "BACKEND": "jwt_auth.revocation.deny_feed.DenyFeed",
    "OPTIONS": {
        "URL": "https://auth.example.com/api/auth/denials/",
        "CLIENT_ID": os.environ.get("DENY_FEED_CLIENT_ID"),
        "CLIENT_SECRET": os.environ.get("DENY_FEED_CLIENT_SECRET"),
    },
}
