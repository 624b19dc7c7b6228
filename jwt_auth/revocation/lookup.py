"""The statements that bring the user of a token: one SELECT for each request.

Both are compiled once (:mod:`jwt_auth.compiled_queries`). They look up rows by primary key only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db.models import BooleanField, ExpressionWrapper, Q, Subquery

from jwt_auth.compiled_queries import Select, Slot, compiled_once
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
    """The database's view of a token: its user, and whether session and token are valid."""

    user: AbstractBaseUser
    token_version: int
    session_is_live: bool
    token_is_revoked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The user of a token, and whether its session is in this database at all, live or ended.

    Rows of sessions outlive their access tokens. So a session that isn't here was opened in another
    tenant's database or schema, or its user was deleted.
    """

    user: AbstractBaseUser
    session_is_known: bool


def find_standing(token: AccessToken) -> Standing | None:
    """Read the user and all that can revoke the token; ``None`` if no user is found."""
    user = _find_user(token, compile_=_compile_standing, compile_once=_compile_standing_once)
    if user is None:
        return None
    user_model: type[AbstractBaseUser] = type(user)
    has_field = has_version_field(user_model)
    return Standing(
        user=user,
        token_version=(user.token_version if has_field else user.standing_version) or 0,
        session_is_live=user.standing_session_ended is False,
        token_is_revoked=user.standing_jti is not None,
    )


def find_owner(token: AccessToken) -> Owner | None:
    """Read the user, and nothing that could revoke the token; ``None`` if no user is found."""
    user = _find_user(token, compile_=_compile_owner, compile_once=_compile_owner_once)
    if user is None:
        return None
    return Owner(user=user, session_is_known=user.owner_session is not None)


def _find_user(
    token: AccessToken, *, compile_: Callable[..., Select], compile_once: Callable[..., Select]
) -> Any:
    user_model = get_user_model()
    database = write_database(user_model)
    # A default manager may filter by the time or the tenant. Then the statement has to be compiled
    # for each request: a kept one would still filter by the values of an earlier request.
    statement = (compile_ if hides_users() else compile_once)(database, user_model)
    values = {"user": token.subject, "session": token.session_id, "jti": token.jti}
    try:
        users = retried(lambda: statement.fetch(**values), using=database)
    except (ValidationError, ValueError, OverflowError):
        return None  # the subject isn't a possible key of the user model
    return users[0] if users else None


def _compile_standing(database: str, user_model: type[AbstractBaseUser]) -> Select:
    user = _user_slot(user_model)
    is_ended = ExpressionWrapper(Q(revoked_at__isnull=False), output_field=BooleanField())
    denials: Any = RevokedToken._meta.pk
    # Scalar subqueries by primary key, each of one value or none. PostgreSQL would take longer to
    # plan EXISTS, or a reference to the outer row's key instead of the parameter.
    queryset: Any = user_model._default_manager.using(database).annotate(
        standing_session_ended=Subquery(_session_of(user).values(is_ended=is_ended)),
        standing_jti=Subquery(RevokedToken.objects.filter(pk=Slot("jti", denials)).values("pk")),
    )
    if not has_version_field(user_model):
        versions = TokenVersion.objects.filter(user=user)
        queryset = queryset.annotate(standing_version=Subquery(versions.values("token_version")))
    return Select(queryset.filter(pk=user))


def _compile_owner(database: str, user_model: type[AbstractBaseUser]) -> Select:
    user = _user_slot(user_model)
    users: Any = user_model._default_manager.using(database)
    users = users.annotate(owner_session=Subquery(_session_of(user).values("pk")))
    return Select(users.filter(pk=user))


def _user_slot(user_model: type[AbstractBaseUser]) -> Slot:
    key: Any = user_model._meta.pk
    return Slot("user", key)


def _session_of(user: Slot) -> Any:
    families: Any = RefreshTokenFamily._meta.pk
    return RefreshTokenFamily.objects.filter(pk=Slot("session", families), user=user)


_compile_standing_once = compiled_once(_compile_standing)
_compile_owner_once = compiled_once(_compile_owner)
