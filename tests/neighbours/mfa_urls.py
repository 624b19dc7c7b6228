"""The paths of docs/how-to/second-factor.md for django-allauth, as they stand there, and the
example's.
"""

import runpy

from example_project.urls import urlpatterns as example
from tests.neighbours.packages import ALLAUTH_RECIPES

urlpatterns = [*runpy.run_path(str(ALLAUTH_RECIPES / "urls.py"))["urlpatterns"], *example]
