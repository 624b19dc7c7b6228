"""A session is one row, a refresh token family that rotates in place.

The querysets own every conditional UPDATE. The rules of a rotation are in
:mod:`jwt_auth.flows.rotation`.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models
from django.db.models import F
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from jwt_auth.compiled_queries import Select, Slot, Update, compiled_once
from jwt_auth.models.databases import write_database
from jwt_auth.models.users import has_groups, has_version_field
from jwt_auth.retries import retried
from jwt_auth.stored_times import InstantField

USER_AGENT_LENGTH = 256


class Reason(models.TextChoices):
    """Why a session ended."""

    LOGOUT = "logout", _("logged out")
    LOGOUT_ALL = "logout_all", _("logged out everywhere")
    REUSE_DETECTED = "reuse_detected", _("a consumed refresh token came back")
    PASSWORD_CHANGED = "password_changed", _("password changed")
    USER_DEACTIVATED = "user_deactivated", _("user deactivated")
    ADMINISTRATOR = "administrator", _("ended by an administrator")
    KEY_COMPROMISE = "key_compromise", _("signing key compromised")
    SESSION_LIMIT = "session_limit", _("too many sessions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """The origin of a request, as far as the server knows it."""

    ip_address: str | None
    user_agent: str


class RefreshTokenFamilyQuerySet(models.QuerySet["RefreshTokenFamily"]):
    """All statements on sessions.

    Reads that decide about a request use the write database, whatever the routers say.
    """

    def deciding(self) -> Self:
        return self.using(write_database(self.model))

    def live(self, now: datetime) -> Self:
        return self.filter(revoked_at=None, expires_at__gt=now)

    def load(self, family_id: uuid.UUID) -> RefreshTokenFamily | None:
        """Read a family with its user and the user's token version and groups, in one SELECT.

        The SELECT returns a row for each group.
        """
        user_model = get_user_model()
        database = write_database(self.model)
        select = _compile_load(database, user_model)
        rows = retried(lambda: select.fetch(id=family_id), using=database)
        if not rows:
            return None
        family: RefreshTokenFamily = rows[0]
        if has_groups(user_model):
            groups = {row.group_pk: row.group_name for row in rows if row.group_pk is not None}
            _remember_groups(family.user, groups)
        return family

    def rotate(self, family: RefreshTokenFamily, **changes: Any) -> bool:
        """Replace the token of a family; false if another request was faster."""
        database = write_database(self.model)
        update = _compile_rotate(database, tuple(changes))
        values = {"id": family.pk, "presented": family.current_digest, **changes}
        return bool(retried(lambda: update.execute(**values), using=database))

    def end(self, *, reason: Reason, ip_address: str | None, now: datetime) -> int:
        """Revoke the sessions that aren't revoked yet; a revoked session can't be revived."""
        live = self.deciding().filter(revoked_at=None)
        changes = {"revoked_at": now, "revocation_reason": reason, "revoked_by_ip": ip_address}
        return retried(lambda: live.update(**changes), using=live.db)

    def move_to(self, version: int) -> int:
        """Give the user's new token version to the sessions that can still be used.

        A session of an earlier version is dead, such as one that was opened with a former password
        while it was being changed. It must stay dead.
        """
        usable = self.deciding().filter(revoked_at=None, token_version=version - 1)
        return usable.update(token_version=version)

    def expired(self, before: datetime) -> Self:
        return self.deciding().filter(absolute_expires_at__lt=before)


class RefreshTokenFamily(models.Model):
    """A session: all refresh tokens that descend from one login, in one row that rotates in place.

    No column that a rotation changes is indexed, so that PostgreSQL can update the row in place
    (HOT).
    """

    id = models.UUIDField(_("id"), primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="refresh_token_families",
        verbose_name=_("user"),
    )
    created_at = InstantField(_("created at"))
    last_used_at = InstantField(pgettext_lazy("session", "last used at"))
    expires_at = InstantField(pgettext_lazy("session", "expires at"))
    absolute_expires_at = InstantField(
        pgettext_lazy("session", "ends at the latest"), db_index=True
    )
    #: The user's version at the login. A refresh requires that the user still has it. So if a
    #: password is changed while a login with the former password is running, that session is dead.
    token_version = models.PositiveIntegerField(default=0)
    generation = models.PositiveIntegerField(
        pgettext_lazy("refresh token", "generation"), default=1
    )
    #: SHA-256 of the only token that can be used now, in hex.
    current_digest = models.CharField(max_length=64)
    #: The nonce that the current token was derived with, in hex; empty for a random first token.
    rotation_nonce = models.CharField(max_length=64, blank=True, default="")
    #: ``[generation consumed, digest of the retry key or None, seconds since the epoch]``, the
    #: oldest first. An entry that was followed by another one with the same key also has its nonce,
    #: in hex.
    recent_rotations = models.JSONField(default=list)
    #: The project's claims about this login, such as a tenant; each of its access tokens has them.
    #: With a default in the database for servers of the former version, which don't know it.
    claims = models.JSONField(
        pgettext_lazy("JWT", "claims"), default=dict, db_default={}, blank=True
    )
    #: How long the session lives without a refresh; ``None``: ``JWT_AUTH_REFRESH_TOKEN_LIFETIME``.
    refresh_lifetime = models.DurationField(null=True, editable=False)
    revoked_at = InstantField(pgettext_lazy("session", "ended at"), null=True, blank=True)
    revocation_reason = models.CharField(
        pgettext_lazy("session", "why it ended"),
        max_length=32,
        blank=True,
        default="",
        choices=Reason.choices,
    )
    revoked_by_ip = models.GenericIPAddressField(
        pgettext_lazy("IP", "ended by"), null=True, blank=True
    )
    ip_address = models.GenericIPAddressField(pgettext_lazy("IP", "address"), null=True, blank=True)
    user_agent = models.CharField(
        _("user agent"), max_length=USER_AGENT_LENGTH, blank=True, default=""
    )

    objects = RefreshTokenFamilyQuerySet.as_manager()

    class Meta:
        verbose_name = _("session")
        verbose_name_plural = _("sessions")

    def __str__(self) -> str:
        return f"session {self.pk}"

    def is_live(self, now: datetime) -> bool:
        return self.revoked_at is None and now < self.expires_at


def _remember_groups(user: AbstractBaseUser, names: dict[Any, str]) -> None:
    """Store the groups from a join where ``prefetch_related`` would store them."""
    # Without user.groups: making that manager takes longer than everything else here.
    options: Any = user._meta
    model = options.get_field("groups").related_model
    groups = model._default_manager.all()
    groups._result_cache = [model(pk=pk, name=name) for pk, name in names.items()]
    groups._prefetch_done = True
    user._prefetched_objects_cache = {"groups": groups}  # type: ignore[attr-defined]


@compiled_once
def _compile_load(database: str, user_model: type[AbstractBaseUser]) -> Select:
    families: Any = RefreshTokenFamily.objects.using(database).select_related("user")
    families = families.filter(pk=_slot("id"))
    if not has_version_field(user_model):
        families = families.select_related("user__jwt_auth_token_version")
    if has_groups(user_model):
        families = families.annotate(group_pk=F("user__groups"), group_name=F("user__groups__name"))
    return Select(families)


@compiled_once
def _compile_rotate(database: str, changes: tuple[str, ...]) -> Update:
    families = RefreshTokenFamily.objects.using(database).filter(
        pk=_slot("id"), current_digest=_slot("current_digest", "presented"), revoked_at=None
    )
    return Update(families, {name: _slot(name) for name in changes})


def _slot(field: str, name: str | None = None) -> Slot:
    return Slot(name or field, RefreshTokenFamily._meta.get_field(field))  # type: ignore[arg-type]
