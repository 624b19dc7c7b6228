"""Service clients in the admin: to look at and to deactivate."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client as Browser

from jwt_auth.models import ServiceClient
from tests.conftest import MakeUser
from tests.http.conftest import cheap_argon2, service  # noqa: F401  fixtures
from tests.http.services import Service
from tests.test_admin import _browser, administrator, has_permissions  # noqa: F401  a fixture

pytestmark = [pytest.mark.sql, pytest.mark.user_model, pytest.mark.smoke]

LIST = "/admin/jwt_auth/serviceclient/"


def _act(browser: Browser, service: Service) -> Any:  # noqa: F811
    body = {"action": "deactivate", "_selected_action": [str(service.client.pk)]}
    return browser.post(LIST, body, follow=True, secure=True)


def test_pages_show_no_hash(administrator: Browser, service: Service) -> None:  # noqa: F811
    """Name, id and dates; nothing can be added, changed or deleted."""
    for path in (LIST, f"{LIST}{service.client.pk}/change/"):
        page = administrator.get(path, secure=True)
        assert page.status_code == 200
        assert "gateway" in page.content.decode()
        assert str(service.client.pk) in page.content.decode()
        assert service.client.secret_hash[-20:] not in page.content.decode()
    for path in (f"{LIST}add/", f"{LIST}{service.client.pk}/delete/"):
        assert administrator.post(path, secure=True).status_code == 403


@pytest.mark.parametrize("lookup", ["secret_hash__startswith", "secret_hash"])
def test_hash_is_no_filter(administrator: Browser, service: Service, lookup: str) -> None:  # noqa: F811
    """The number of results would reveal it, character by character."""
    assert administrator.get(LIST, {lookup: "a"}, secure=True).status_code == 400


def test_action_deactivates(administrator: Browser, service: Service) -> None:  # noqa: F811
    """Once; a second time it has nothing to do."""
    said = [_act(administrator, service).content.decode() for _ in range(2)]
    assert "1 service client was deactivated." in said[0]
    assert "0 service clients were deactivated." in said[1]
    assert not ServiceClient.objects.get().is_active


@has_permissions
@pytest.mark.parametrize("may", ["view", "change"])
def test_action_needs_the_permission_to_change(
    may: str,
    make_user: MakeUser,
    service: Service,  # noqa: F811
) -> None:
    """Those who may only look can't have a service refused."""
    browser = _browser(make_user, "jwt_auth.view_serviceclient", f"jwt_auth.{may}_serviceclient")
    _act(browser, service)
    assert ServiceClient.objects.get().is_active == (may == "view")
