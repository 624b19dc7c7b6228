"""Sessions in Django's admin: list them and end them. Digests and nonces are never shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import get_permission_codename, get_user_model
from django.db.models import QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from jwt_auth import flows
from jwt_auth.http.addresses import client_of
from jwt_auth.models import Reason, RefreshTokenFamily


@admin.register(RefreshTokenFamily)
class SessionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not at run time
    """Read-only, except for the actions that end sessions."""

    list_display = ("id", "user", "is_live", "created_at", "last_used_at", "ip_address")
    list_filter = ("revocation_reason", "created_at")
    list_select_related = ("user",)
    search_fields = ("=id", "=ip_address")
    ordering = ("-created_at",)
    show_full_result_count = False
    actions = ("end_sessions", "end_all_sessions_of_users")
    fields = readonly_fields = (
        "id",
        "user",
        "created_at",
        "last_used_at",
        "expires_at",
        "absolute_expires_at",
        "generation",
        "ip_address",
        "user_agent",
        "revoked_at",
        "revocation_reason",
        "revoked_by_ip",
    )

    @admin.display(boolean=True, description=_("live"))
    def is_live(self, session: RefreshTokenFamily) -> bool:
        return session.is_live(datetime.now(UTC))

    def lookup_allowed(self, lookup: str, value: str, *request: Any) -> bool:
        """Allow filters on the fields that the pages show only.

        The number of results of a filter such as "the nonce starts with a" would reveal a hidden
        field, character by character.
        """
        shown = {*self.fields, "pk", "user_id"}
        return lookup.partition(LOOKUP_SEP)[0] in shown and super().lookup_allowed(
            lookup, value, *request
        )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_end_permission(self, request: HttpRequest) -> bool:
        """Allow ending sessions to users with the model's "change" permission.

        ``has_change_permission`` can't be asked: it is always false, to keep the pages read-only.
        """
        codename = get_permission_codename("change", self.opts)
        return request.user.has_perm(f"{self.opts.app_label}.{codename}")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Allow users who may delete users to delete the sessions that go with them.

        Otherwise the admin would refuse to delete the user.
        """
        users = get_user_model()._meta
        may_delete_users = f"{users.app_label}.{get_permission_codename('delete', users)}"
        return super().has_delete_permission(request, obj) or request.user.has_perm(
            may_delete_users
        )

    def delete_model(self, request: HttpRequest, obj: RefreshTokenFamily) -> None:
        """End the session before its row is deleted, so that the revocation backend denies it."""
        flows.end_session(
            obj.pk,
            reason=Reason.ADMINISTRATOR,
            client=client_of(request),
            now=datetime.now(UTC),
        )
        super().delete_model(request, obj)

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> dict[str, Any]:
        # Only Django 6.1 and later pass the location that the actions are for.
        location = () if action_location is None else (action_location,)
        actions = super().get_actions(request, *location)
        # Sessions are ended here; clear_expired_tokens deletes the rows once no token needs them.
        actions.pop("delete_selected", None)
        return actions

    @admin.action(description=_("End the selected sessions"), permissions=["end"])
    def end_sessions(self, request: HttpRequest, queryset: QuerySet[RefreshTokenFamily]) -> None:
        ended = sum(
            flows.end_session(
                session_id,
                reason=Reason.ADMINISTRATOR,
                client=client_of(request),
                now=datetime.now(UTC),
            )
            for session_id in queryset.values_list("pk", flat=True)
        )
        self._report(request, ended)

    @admin.action(
        description=_("End all sessions of the users of the selected sessions"), permissions=["end"]
    )
    def end_all_sessions_of_users(
        self, request: HttpRequest, queryset: QuerySet[RefreshTokenFamily]
    ) -> None:
        ended = 0
        for user_id in set(queryset.values_list("user_id", flat=True)):
            ended += len(
                flows.end_user_sessions(
                    user_id,
                    reason=Reason.ADMINISTRATOR,
                    client=client_of(request),
                    now=datetime.now(UTC),
                )
            )
        self._report(request, ended)

    def _report(self, request: HttpRequest, ended: int) -> None:
        text = ngettext("%d session was ended.", "%d sessions were ended.", ended) % ended
        self.message_user(request, text, messages.SUCCESS)
