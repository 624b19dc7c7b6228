"""A service, its credentials, and what it asks."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from jwt_auth.models import ServiceClient
from tests.http.site import Site

FORM = "application/x-www-form-urlencoded"


def basic(client_id: str, secret: str) -> dict[str, str]:
    """Make the header of HTTP Basic."""
    credentials = b64encode(f"{client_id}:{secret}".encode()).decode()
    return {"Authorization": f"Basic {credentials}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Another service, which has been given an id and a secret."""

    client: ServiceClient
    secret: str

    @property
    def headers(self) -> dict[str, str]:
        """The header with its credentials."""
        return basic(str(self.client.pk), self.secret)

    def ask(self, site: Site, path: str, token: str, **fields: str) -> Any:
        """Send a token, and other fields, as a form."""
        body = urlencode({"token": token, **fields})
        return site.post(path, body, content_type=FORM, headers=self.headers)
