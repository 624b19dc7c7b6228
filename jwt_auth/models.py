"""Sessions, token versions, denied tokens and service clients: the data that decides requests.

A session is one row, a refresh token family that rotates in place. The querysets own every
conditional UPDATE. The rules of a rotation are in :mod:`jwt_auth.flows.rotation`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Self

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models, router, transaction
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from jwt_auth.compiled_queries import Select, Slot, Update, compiled_once
from jwt_auth.retries import retried
from jwt_auth.stored_times import InstantField

USER_AGENT_LENGTH = 256
SERVICE_NAME_LENGTH = 100
JTI_LENGTH = 255


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


class TokenVersionField(models.PositiveIntegerField):  # type: ignore[type-arg]  # not at run time
    """A counter that ``save()`` never writes: an instance from before a bump would undo it."""

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        return super().pre_save(model_instance, add) if add else F(self.attname)


class TokenVersionMixin(models.Model):
    """Adds the token version to a project's own user model.

    Without it, the version is in a row of :class:`TokenVersion`.
    """

    token_version = TokenVersionField(_("token version"), default=0, editable=False)

    class Meta:
        abstract = True


class TokenVersionQuerySet(models.QuerySet["TokenVersion"]):
    def bump(self, user_id: Any) -> None:
        """Increment the user's version, so that every earlier access token is refused."""
        user_model = get_user_model()
        if has_version_field(user_model):
            users = user_model._base_manager.using(write_database(user_model))
            users.filter(pk=user_id).update(token_version=F("token_version") + 1)
            return
        database = write_database(self.model)
        versions = self.using(database)
        users = user_model._base_manager.using(database)
        with transaction.atomic(using=database):
            # The lock lets one transaction in at a time. MariaDB gives every transaction that finds
            # the row a shared lock on it. If two hold one, neither can increment the version.
            users.select_for_update().filter(pk=user_id).first()
            versions.bulk_create([TokenVersion(user_id=user_id)], ignore_conflicts=True)
            versions.filter(user_id=user_id).update(token_version=F("token_version") + 1)


class TokenVersion(models.Model):
    """The token version of a user whose model has no such field; without a row it is 0."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="jwt_auth_token_version",
    )
    token_version = models.PositiveIntegerField(default=0)

    objects = TokenVersionQuerySet.as_manager()

    class Meta:
        verbose_name = _("token version")
        verbose_name_plural = _("token versions")

    def __str__(self) -> str:
        return f"version {self.token_version} of user {self.user_id}"


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

    def expired(self, before: datetime) -> Self:
        return self.deciding().filter(absolute_expires_at__lt=before)


class RefreshTokenFamily(models.Model):
    """A session: all refresh tokens that descend from one login, in one row that rotates in place.

    No column that a rotation changes is indexed, so that PostgreSQL can update the row in place
    (HOT).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="refresh_token_families",
        verbose_name=_("user"),
    )
    created_at = InstantField(_("created at"))
    last_used_at = InstantField(_("last used at"))
    expires_at = InstantField(_("expires at"))
    absolute_expires_at = InstantField(_("ends at the latest"), db_index=True)
    #: The user's version at the login. A refresh requires that the user still has it. So if a
    #: password is changed while a login with the former password is running, that session is dead.
    token_version = models.PositiveIntegerField(default=0)
    generation = models.PositiveIntegerField(default=1)
    #: SHA-256 of the only token that can be used now, in hex.
    current_digest = models.CharField(max_length=64)
    #: The nonce that the current token was derived with, in hex; empty for a random first token.
    rotation_nonce = models.CharField(max_length=64, blank=True, default="")
    #: ``[generation consumed, digest of the retry key or None, seconds since the epoch]``, the
    #: oldest first. An entry that was followed by another one with the same key also has its nonce,
    #: in hex.
    recent_rotations = models.JSONField(default=list)
    revoked_at = InstantField(_("ended at"), null=True, blank=True)
    revocation_reason = models.CharField(
        _("why it ended"), max_length=32, blank=True, default="", choices=Reason.choices
    )
    revoked_by_ip = models.GenericIPAddressField(_("ended by"), null=True, blank=True)
    ip_address = models.GenericIPAddressField(_("address"), null=True, blank=True)
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


def write_database(model: type[models.Model]) -> str:
    """The database to read before a decision: a replica may lag behind a revocation."""
    return router.db_for_write(model)


@cache
def has_version_field(user_model: type[models.Model]) -> bool:
    return any(field.name == "token_version" for field in user_model._meta.concrete_fields)


@cache
def has_groups(user_model: type[models.Model]) -> bool:
    return any(field.name == "groups" for field in user_model._meta.many_to_many)


def token_version_of(user: AbstractBaseUser) -> int:
    """The version that the user's access tokens must have.

    This needs no SQL for a user that :meth:`RefreshTokenFamilyQuerySet.load` has returned.
    """
    if has_version_field(user.__class__):
        return int(user.token_version)  # type: ignore[attr-defined]  # guarded by the line above
    try:
        return int(user.jwt_auth_token_version.token_version)  # type: ignore[attr-defined]  # reverse one-to-one
    except TokenVersion.DoesNotExist:
        return 0


def groups_of(user: AbstractBaseUser) -> Iterable[Any]:
    """The user's groups, from the write database.

    This needs no SQL for a user that :meth:`RefreshTokenFamilyQuerySet.load` has returned.
    """
    known: Iterable[Any] | None = getattr(user, "_prefetched_objects_cache", {}).get("groups")
    if known is not None:
        return known
    groups: Any = user.groups  # type: ignore[attr-defined]  # has_groups() was true
    return groups.db_manager(write_database(type(user))).all()  # type: ignore[no-any-return]


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
