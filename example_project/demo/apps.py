"""The app's configuration."""

from django.apps import AppConfig


class DemoConfig(AppConfig):
    """No models; a template, static files and a command."""

    name = "example_project.demo"
    label = "demo"
