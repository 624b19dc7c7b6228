"""Whether a verified access token still counts: its user, session, version and ``jti``."""
