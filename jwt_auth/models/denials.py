"""Access tokens that are denied, and denials that are recorded for other services."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from jwt_auth.models.databases import write_database
from jwt_auth.models.sessions import RefreshTokenFamily
from jwt_auth.retries import retried
from jwt_auth.stored_times import InstantField

JTI_LENGTH = 255


class RevokedTokenQuerySet(models.QuerySet["RevokedToken"]):
    def deciding(self) -> Self:
        return self.using(write_database(self.model))

    def of_user(self, user_id: Any) -> Self:
        """Denials of a user's tokens, and denials without a known user."""
        return self.filter(Q(user_id=user_id) | Q(user_id=None))

    def deny(self, jti: str, *, user_id: Any, expires_at: datetime, now: datetime) -> None:
        """Write the denial. A second denial of the same ``jti`` has no effect."""
        denial = RevokedToken(jti=jti, user_id=user_id, revoked_at=now, expires_at=expires_at)
        denials = self.deciding()
        retried(lambda: denials.bulk_create([denial], ignore_conflicts=True), using=denials.db)

    def expired(self, before: datetime) -> Self:
        return self.deciding().filter(expires_at__lt=before)


class RevokedToken(models.Model):
    """An access token that is denied by its ``jti`` until it expires."""

    jti = models.CharField(max_length=JTI_LENGTH, primary_key=True)
    #: Without a constraint in the database: a token can be denied after its user has been deleted.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        related_name="+",
        db_constraint=False,
    )
    revoked_at = InstantField()
    expires_at = InstantField(db_index=True)

    objects = RevokedTokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("revoked access token")
        verbose_name_plural = _("revoked access tokens")

    def __str__(self) -> str:
        return f"revoked access token of user {self.user_id}"


class RecordedDenialQuerySet(models.QuerySet["RecordedDenial"]):
    """All statements on recorded denials, in the database of the sessions that they concern."""

    def deciding(self) -> Self:
        return self.using(write_database(RefreshTokenFamily))

    def in_force(self, since: datetime) -> Self:
        """Those committed after ``since``, or at an unknown time: the latest commits first."""
        committed = Q(committed_at__gt=since) | Q(committed_at=None)
        return self.deciding().filter(committed).order_by(F("committed_at").desc(nulls_first=True))

    def expired(self, before: datetime) -> Self:
        return self.deciding().filter(recorded_at__lt=before)


class RecordedDenial(models.Model):
    """A revocation, as ``denials/`` tells it to the services that share no database with us.

    It is written in the transaction of the revocation (``JWT_AUTH_DENY_FEED``). It refers to no
    other row, because it must outlive the user and the session that it is about.
    """

    class Kind(models.TextChoices):
        SESSIONS = "sessions"  #: ``value``: their ids, separated by spaces
        TOKEN = "token"  #: ``value``: its ``jti``
        USER = "user"  #: ``value``: the ``sub``
        EVERYONE = "everyone"  #: ``value``: the last ``iat`` that is refused

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=8)
    value = models.TextField()
    #: The user's lowest version that isn't refused; ``None`` for a user who has been deleted.
    token_version = models.PositiveIntegerField(null=True)
    recorded_at = InstantField()
    #: A time after the commit. Until the commit, other requests could issue tokens that are refused
    #: after it. ``None`` if the process died between its commit and the UPDATE that sets this.
    committed_at = InstantField(null=True, db_index=True)

    objects = RecordedDenialQuerySet.as_manager()

    class Meta:
        verbose_name = _("recorded denial")
        verbose_name_plural = _("recorded denials")
        default_permissions = ()

    def __str__(self) -> str:
        return f"recorded denial {self.pk}"
