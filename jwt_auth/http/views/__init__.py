"""The endpoints; only ``jwt_auth.urls`` imports them."""
