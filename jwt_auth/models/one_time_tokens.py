"""One-time tokens that have been used, and the addresses that users have confirmed with one."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from jwt_auth.models.databases import write_database
from jwt_auth.stored_times import InstantField

#: Of a token that we issue, in hex digits.
ONE_TIME_JTI_LENGTH = 32


class UsedOneTimeTokenQuerySet(models.QuerySet["UsedOneTimeToken"]):
    def deciding(self) -> Self:
        return self.using(write_database(self.model))

    def expired(self, before: datetime) -> Self:
        return self.deciding().filter(expires_at__lt=before)


class UsedOneTimeToken(models.Model):
    """A one-time token that has been used: the primary key lets one of two requests have it."""

    jti = models.CharField(max_length=ONE_TIME_JTI_LENGTH, primary_key=True)
    expires_at = InstantField(db_index=True)

    objects = UsedOneTimeTokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("used one-time token")
        verbose_name_plural = _("used one-time tokens")
        default_permissions = ()

    def __str__(self) -> str:
        return "used one-time token"


class ConfirmedAddress(models.Model):
    """The email address that a user has confirmed last.

    A user whose address has changed since then has to confirm the new one.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="jwt_auth_confirmed_address",
        verbose_name=_("user"),
    )
    address = models.TextField(pgettext_lazy("e-mail", "address"))
    confirmed_at = InstantField(_("confirmed at"))

    class Meta:
        verbose_name = _("confirmed address")
        verbose_name_plural = _("confirmed addresses")
        default_permissions = ()

    def __str__(self) -> str:
        return f"confirmed address of user {self.user_id}"
