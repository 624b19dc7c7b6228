"""The services that ask about tokens with an id and a secret."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Self

from django.db import models
from django.utils.translation import gettext_lazy as _

from jwt_auth.models.databases import write_database
from jwt_auth.retries import retried
from jwt_auth.stored_times import InstantField

SERVICE_NAME_LENGTH = 100


class ServiceClientQuerySet(models.QuerySet["ServiceClient"]):
    def deciding(self) -> Self:
        return self.using(write_database(self.model))

    def find(self, client_id: str) -> ServiceClient | None:
        """Find the client with this public id, active or not; only the issued spelling is one."""
        try:
            key = uuid.UUID(client_id)
        except ValueError:
            return None
        clients = self.deciding().filter(pk=key)
        found: ServiceClient | None = retried(clients.first, using=clients.db)
        return found if str(key) == client_id else None

    def deactivate(self, *, now: datetime) -> int:
        """Refuse these clients from now on. A deactivated client can't be revived."""
        active = self.deciding().filter(deactivated_at=None)
        return retried(lambda: active.update(deactivated_at=now), using=active.db)


class ServiceClient(models.Model):
    """A service that asks about tokens with its own id and secret (RFC 6749 §2.3.1).

    The id is public. Of the secret, only a hash is stored.
    """

    id = models.UUIDField(_("id"), primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=SERVICE_NAME_LENGTH, unique=True)
    secret_hash = models.CharField(max_length=255)
    #: The first bits of the secret's SHA-256, in hex. They leave a thief of the row 240 bits to
    #: guess, and let a wrong secret be refused without a run of Argon2.
    secret_hint = models.CharField(max_length=4)
    created_at = InstantField(_("created at"))
    deactivated_at = InstantField(_("deactivated at"), null=True, blank=True)

    objects = ServiceClientQuerySet.as_manager()

    class Meta:
        verbose_name = _("service client")
        verbose_name_plural = _("service clients")

    def __str__(self) -> str:
        return self.name

    @property
    def is_active(self) -> bool:
        return self.deactivated_at is None
