"""Service clients in Django's admin: list and deactivate them. Hashes are never shown.

They are created by ``manage.py create_service_client``: a page would show the secret to anyone who
can look at the administrator's screen, and would leave it in the browser.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import get_permission_codename
from django.db.models import QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext, pgettext_lazy

from jwt_auth import flows
from jwt_auth.models import ServiceClient


@admin.register(ServiceClient)
class ServiceClientAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not at run time
    """Read-only, except for the action that deactivates clients."""

    list_display = ("name", "id", "is_active", "created_at", "deactivated_at")
    search_fields = ("name",)
    ordering = ("name",)
    actions = ("deactivate",)
    fields = readonly_fields = ("name", "id", "created_at", "deactivated_at")

    @admin.display(description=pgettext_lazy("service client", "active"), boolean=True)
    def is_active(self, service: ServiceClient) -> bool:
        return service.is_active

    def lookup_allowed(self, lookup: str, value: str, *request: Any) -> bool:
        """Allow filters on the fields that the pages show only, as for sessions."""
        shown = {*self.fields, "pk"}
        return lookup.partition(LOOKUP_SEP)[0] in shown and super().lookup_allowed(
            lookup, value, *request
        )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # a row that stays says who could ask, and keeps its name from being reused

    def has_deactivate_permission(self, request: HttpRequest) -> bool:
        """Allow it to users with the model's "change" permission."""
        codename = get_permission_codename("change", self.opts)
        return request.user.has_perm(f"{self.opts.app_label}.{codename}")

    @admin.action(
        description=_("Deactivate the selected service clients"), permissions=["deactivate"]
    )
    def deactivate(self, request: HttpRequest, queryset: QuerySet[ServiceClient]) -> None:
        now = datetime.now(UTC)
        count = sum(flows.deactivate_service_client(service, now=now) for service in queryset)
        text = ngettext(
            "%d service client was deactivated.", "%d service clients were deactivated.", count
        )
        self.message_user(request, text % count, messages.SUCCESS)
