"""The example project's settings with Django's default LOGGING."""

from example_project.settings import *

LOGGING = {}
