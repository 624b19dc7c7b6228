"""Whether a verified access token still counts: its user, its session, its version and its ``jti``."""
