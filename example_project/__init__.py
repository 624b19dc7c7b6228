"""A small Django project that uses jwt_auth, as an example to copy from."""
