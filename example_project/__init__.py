"""A small project that uses jwt_auth as a project of your own would."""
