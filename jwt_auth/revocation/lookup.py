"""The one SELECT that brings a user together with the verdict on their token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db.models import BooleanField, ExpressionWrapper, Q, Subquery

from jwt_auth.compiled_queries import Select, Slot, composed_once
from jwt_auth.models import (
    RefreshTokenFamily,
    RevokedToken,
    TokenVersion,
    has_version_field,
    write_database,
)
from jwt_auth.retries import retried
from jwt_auth.tokens.claims import AccessToken
from jwt_auth.users import hides_users


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the database says of a token: its user, and whether session and token still count."""

    user: AbstractBaseUser
    token_version: int
    session_is_live: bool
    #: Whether the session is in this database at all, live or ended: rows outlive their tokens.
    session_is_known: bool
    token_is_revoked: bool


def find_standing(token: AccessToken) -> Standing | None:
    """Run the statement; ``None`` where there is no such user, or none can have such an id."""
    user_model = get_user_model()
    # What a default manager filters by may be the time or the tenant: never yesterday's.
    compose = _compose if hides_users() else _compose_once
    database = write_database(user_model)
    statement = compose(database, user_model)
    values = {"user": token.subject, "session": token.session_id, "jti": token.jti}
    try:
        users = retried(lambda: statement.fetch(**values), using=database)
    except (ValidationError, ValueError, OverflowError):
        return None  # a subject that the user model's key has no form for
    return _standing_of(users[0]) if users else None


def _standing_of(user: Any) -> Standing:
    model: type[AbstractBaseUser] = type(user)
    version = user.token_version if has_version_field(model) else user.standing_version
    return Standing(
        user=user,
        token_version=version or 0,
        session_is_live=user.standing_session_ended is False,
        session_is_known=user.standing_session_ended is not None,
        token_is_revoked=user.standing_jti is not None,
    )


def _compose(database: str, user_model: type[AbstractBaseUser]) -> Select:
    families: Any = RefreshTokenFamily._meta.pk
    denials: Any = RevokedToken._meta.pk
    users: Any = user_model._meta.pk
    # By primary key, so each gives one value or none; EXISTS would take PostgreSQL longer to plan,
    # and so would the user's key by reference to the outer row.
    user = Slot("user", users)
    sessions: Any = RefreshTokenFamily.objects.filter(pk=Slot("session", families), user=user)
    is_ended = ExpressionWrapper(Q(revoked_at__isnull=False), output_field=BooleanField())
    revoked = RevokedToken.objects.filter(pk=Slot("jti", denials))
    queryset: Any = user_model._default_manager.using(database).annotate(
        standing_session_ended=Subquery(sessions.values(is_ended=is_ended)),
        standing_jti=Subquery(revoked.values("pk")),
    )
    if not has_version_field(user_model):
        versions = TokenVersion.objects.filter(user=user)
        queryset = queryset.annotate(standing_version=Subquery(versions.values("token_version")))
    return Select(queryset.filter(pk=user))


_compose_once = composed_once(_compose)
