"""The tokens that a client receives: access tokens (JWT) with claims, and opaque refresh tokens."""
