"""A client of the endpoints, and a look at everything that a request could change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from rest_framework.test import APIClient

from jwt_auth.models import RefreshTokenFamily, RevokedToken, TokenVersion

MOUNT = "/api/auth/"
MOBILE = "/api/mobile/auth/"
COOKIE = "__Secure-refresh_token"


class Site(APIClient):
    """Speaks JSON over TLS; relative paths are below the mount."""

    default_format = "json"

    def generic(self, method: str, path: Any, *args: Any, **extra: Any) -> Any:
        """Send any request."""
        extra.setdefault("secure", True)
        return super().generic(
            method, path if path.startswith("/") else MOUNT + path, *args, **extra
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a log-in has given."""

    id: UUID
    access_token: str
    refresh_token: str

    @property
    def bearer(self) -> dict[str, str]:
        """The header that an API request carries."""
        return {"Authorization": f"Bearer {self.access_token}"}

    @property
    def cookie(self) -> dict[str, str]:
        """The header that a browser would send to the mount."""
        return {"Cookie": f"{COOKIE}={self.refresh_token}"}


def open_session(site: Site, credentials: dict[str, str]) -> Session:
    """Log in; the client keeps the cookie."""
    before = set(RefreshTokenFamily.objects.values_list("pk", flat=True))
    answer = site.post("login/", credentials)
    assert answer.status_code == 200, answer.content
    (opened,) = set(RefreshTokenFamily.objects.values_list("pk", flat=True)) - before
    return Session(
        id=opened,
        access_token=answer.json()["access_token"],
        refresh_token=answer.cookies[COOKIE].value,
    )


def everything() -> list[list[dict[str, Any]]]:
    """Every row that a request could change: compare it before and after."""
    models = (RefreshTokenFamily, RevokedToken, TokenVersion, get_user_model())
    tables: list[Any] = [model._base_manager.order_by("pk").values() for model in models]
    return [list(rows) for rows in tables]
