"""The app's configuration."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Users with a tenant."""

    name = "example_project.accounts"
    label = "accounts"
