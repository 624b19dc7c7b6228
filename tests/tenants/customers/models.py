"""The tenants of django-tenants."""

from __future__ import annotations

from django.db import models
from django_tenants.models import DomainMixin, TenantMixin


class Customer(TenantMixin):  # type: ignore[misc]  # comes without types
    """A tenant, with a schema that is made and migrated when it is saved."""

    name = models.CharField(max_length=80)
    auto_create_schema = True


class Domain(DomainMixin):  # type: ignore[misc]
    """A host of a tenant."""
