"""What travels: access tokens (JWT), refresh tokens (opaque), and the claims between them and a
user.
"""
