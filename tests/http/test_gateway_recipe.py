"""What a second service makes of the headers of verify/, as docs/how-to/gateway.md says."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import jwt
import pytest
from django.core.exceptions import PermissionDenied
from django.test import RequestFactory

from tests.http.site import Session, Site
from tests.tokens.forging import forge

_PAGE = Path(__file__).parents[2] / "docs/how-to/gateway/second_service.py"

gateway_middleware = runpy.run_path(str(_PAGE))["gateway_middleware"]


@pytest.mark.parametrize("roles", [[], ["admin"], ["Sales, EMEA", "100%", "Größe\n"]])
def test_service_reads_what_the_token_says(roles: list[str], site: Site, session: Session) -> None:
    """Whatever is in the names, and however the length of the claims is to be padded."""
    claims = jwt.decode(session.access_token, options={"verify_signature": False})
    for padding in ("", "x", "xx"):
        all_claims = {**claims, "roles": roles, "padding": padding}
        bearer = {"Authorization": f"Bearer {forge().token(claims=all_claims)}"}
        told = site.get("verify/", headers=bearer)
        headers = {name: value for name, value in told.items() if name.startswith("X-Auth-")}
        request: Any = RequestFactory().get("/", headers=headers)
        gateway_middleware(lambda request: None)(request)
        assert request.user_id == claims["sub"]
        assert request.roles == roles
        assert request.claims == all_claims


@pytest.mark.parametrize("headers", [{}, {"X-Auth-User": "1"}, {"X-Auth-Claims": "e30"}])
def test_service_refuses_what_has_bypassed_the_gateway(headers: dict[str, str]) -> None:
    """No request without a user or claims gets to a view, or is an error of the service."""
    with pytest.raises(PermissionDenied):
        gateway_middleware(lambda request: None)(RequestFactory().get("/", headers=headers))
