"""Sessions in Django's admin: list them and end them. Digests and nonces are never shown."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime
from functools import reduce
from operator import or_
from typing import Any, Final

from django.contrib import admin, messages
from django.contrib.auth import get_permission_codename, get_user_model
from django.core.exceptions import FieldDoesNotExist, FieldError, ValidationError
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.timezone import template_localtime  # type: ignore[attr-defined]  # not in the stubs
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext, pgettext, pgettext_lazy

from jwt_auth import flows
from jwt_auth.devices import device_name
from jwt_auth.http.addresses import client_of
from jwt_auth.models import Reason, RefreshTokenFamily

#: The list has little room for a user agent that has no name.
_DEVICE_LENGTH: Final = 40

#: Where a long name or address may continue on the next line.
_PIECE: Final = re.compile(r".{1,12}?[-.:@_/\s]|.{1,12}")


class StateFilter(admin.SimpleListFilter):
    """Live sessions, or the others. The rule is the queryset's."""

    title = pgettext_lazy("session", "state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("live", pgettext("session", "live")),
            ("ended", pgettext("session", "ended")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        live = RefreshTokenFamily.objects.live(datetime.now(UTC))
        match self.value():
            case "live":
                return queryset & live
            case "ended":
                # Not ``exclude(pk__in=live)``: PostgreSQL can't make an anti-join of a NOT IN.
                return queryset.filter(~Exists(live.filter(pk=OuterRef("pk"))))
            case _:
                return queryset


@admin.register(RefreshTokenFamily)
class SessionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not at run time
    """Read-only, except for the actions that end sessions."""

    # Of a window of 1280 px, Django's admin leaves half to the list. So names, addresses and dates
    # are wrapped, and the id is on the session's page.
    list_display = ("user_name", "state", "client", "last_used", "created")
    list_filter = (StateFilter, "revocation_reason", "created_at")
    list_select_related = ("user",)
    search_fields = ("id", "ip_address")
    search_help_text = _("User name, e-mail address, session id or IP address")
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

    @admin.display(description=_("user"), ordering="user")
    def user_name(self, session: RefreshTokenFamily) -> SafeString:
        return _wrapped(str(session.user))

    @admin.display(description=_("user agent"), ordering="user_agent")
    def client(self, session: RefreshTokenFamily) -> SafeString:
        name = device_name(session.user_agent)
        name = name or Truncator(session.user_agent).chars(_DEVICE_LENGTH)
        device = _wrapped(name or self.get_empty_value_display())
        address = _wrapped(session.ip_address or "")
        return format_html('<span title="{}">{}</span><br>{}', session.user_agent, device, address)

    @admin.display(description=pgettext_lazy("session", "created"), ordering="created_at")
    def created(self, session: RefreshTokenFamily) -> SafeString:
        return _moment(session.created_at)

    @admin.display(description=pgettext_lazy("session", "last used"), ordering="last_used_at")
    def last_used(self, session: RefreshTokenFamily) -> SafeString:
        return _moment(session.last_used_at)

    @admin.display(description=pgettext_lazy("session", "state"), ordering="expires_at")
    def state(self, session: RefreshTokenFamily) -> SafeString:
        if session.revoked_at is not None:
            reason = session.get_revocation_reason_display()
            return format_html("{}<br>{}", reason, _moment(session.revoked_at))
        is_live = session.is_live(datetime.now(UTC))
        state = pgettext("session", "live until") if is_live else pgettext("session", "expired")
        return format_html("{}<br>{}", state, _moment(session.expires_at))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[RefreshTokenFamily], search_term: str
    ) -> tuple[QuerySet[RefreshTokenFamily], bool]:
        """Find sessions by their users and by :attr:`search_fields`.

        The users are searched first, because their sessions have an index. Django's own search
        would compare each session and its user with the term.
        """
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q(user__in=_users_named(term, names_shown_to(request)))
        for name in self.search_fields:
            field: Any = self.opts.get_field(name)
            with suppress(ValidationError):
                found |= Q((name, field.clean(term, None)))
        return queryset.filter(found), False

    def lookup_allowed(self, lookup: str, value: str, *request: Any) -> bool:
        """Allow filters on the fields that the pages show only.

        The number of results of a filter such as "the nonce starts with a" would reveal a hidden
        field, character by character.
        """
        shown = {*self.fields, "pk", "user_id", StateFilter.parameter_name}
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


def names_shown_to(request: HttpRequest) -> list[str]:
    """List the fields of the user model to search: e-mail addresses for those who may see users."""
    user_model: Any = get_user_model()
    users = user_model._meta
    names = names_of(user_model)
    permissions = [get_permission_codename(action, users) for action in ("view", "change")]
    if any(request.user.has_perm(f"{users.app_label}.{name}") for name in permissions):
        return names
    return [name for name in names if name == user_model.USERNAME_FIELD]


def _users_named(term: str, names: list[str]) -> QuerySet[Any]:
    user_model = get_user_model()
    parts = (Q((f"{name}__icontains", term)) for name in names)
    return user_model._base_manager.filter(reduce(or_, parts, Q(pk__in=[])))


def names_of(user_model: Any) -> list[str]:
    """List the fields of the user model with the user name and the e-mail address.

    They may be one field, there may be no e-mail address, and a relation or an encrypted field
    can't be searched for a text.
    """
    names = dict.fromkeys([user_model.USERNAME_FIELD, user_model.get_email_field_name()])
    return [name for name in names if _is_searchable(user_model, name)]


def _is_searchable(user_model: Any, name: str) -> bool:
    try:
        return user_model._meta.get_field(name).get_lookup("icontains") is not None
    except (FieldDoesNotExist, FieldError):
        return False


def _moment(moment: datetime) -> SafeString:
    local = template_localtime(moment)
    date, time = (date_format(local, name) for name in ("SHORT_DATE_FORMAT", "TIME_FORMAT"))
    return format_html("{}<br>{}", date, time)


def _wrapped(text: str) -> SafeString:
    """Let the browser break the text where its column is too narrow for it."""
    return format_html_join("", "{}<wbr>", ((piece,) for piece in _PIECE.findall(text)))
