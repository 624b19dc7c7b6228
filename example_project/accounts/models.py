"""The project's user model."""

from django.contrib.auth.models import AbstractUser
from django.db import models

from jwt_auth.models import TokenVersionMixin


class User(TokenVersionMixin, AbstractUser):
    """Django's user, the token version that jwt_auth counts, and a tenant."""

    tenant = models.CharField(max_length=100, blank=True)
