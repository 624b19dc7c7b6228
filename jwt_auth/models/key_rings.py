"""The key ring in the database."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class StoredKeyRing(models.Model):
    """The key ring of :class:`jwt_auth.keys.stores.database.DatabaseKeyStore`: one row, encrypted.

    It isn't in the admin and has no permissions, because only the store uses it.
    """

    id = models.PositiveSmallIntegerField(primary_key=True)
    #: The ring's version, for the conditional UPDATE.
    version = models.PositiveIntegerField()
    document = models.TextField()

    class Meta:
        verbose_name = _("key ring")
        verbose_name_plural = _("key rings")
        default_permissions = ()

    def __str__(self) -> str:
        return f"key ring, version {self.version}"
