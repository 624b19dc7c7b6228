"""The views of the endpoints; only ``jwt_auth.urls`` imports them."""
