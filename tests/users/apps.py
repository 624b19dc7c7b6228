"""The app's configuration."""

from django.apps import AppConfig


class UsersConfig(AppConfig):
    """User models that differ from Django's in what packages like to take for granted."""

    name = "tests.users"
    label = "users"
    default_auto_field = "django.db.models.BigAutoField"
