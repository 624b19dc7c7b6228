"""Decide whether a verified token is still valid, by its user, session, version and ``jti``."""
