"""The list of sessions in Django's admin, in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import DESKTOP

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.devices import Stage

pytestmark = [pytest.mark.browser, pytest.mark.live, pytest.mark.example]

NAME = "maximiliana.oberhausen-wittgenstein@subsidiary.example.com"
#: With the longest reason, address, names and user agent that are to be expected.
_MAKE_SESSION = f"""
from django.contrib.auth import get_user_model
from django.utils.timezone import now
from jwt_auth.models import RefreshTokenFamily
user = get_user_model().objects.create_user("{NAME}")
RefreshTokenFamily.objects.create(
    user=user, created_at=now(), last_used_at=now(), expires_at=now(), absolute_expires_at=now(),
    revoked_at=now(), revocation_reason="reuse_detected",
    ip_address="2001:db8:1234:5678:9abc:def0:1234:5678",
    user_agent="AnApplicationOfACompanyWithALongNameToo2/1 (Android 16) " + "x" * 200,
)
"""
_WIDTHS = """() => {
  const { scrollWidth, clientWidth } = document.querySelector(".results");
  return [scrollWidth, clientWidth];
}"""


def test_list_of_sessions_fits_a_window_of_1280_pixels(
    stage: Stage, browser: Browser, demo: str
) -> None:
    """With the admin's two side bars open, nothing has to be scrolled sideways."""
    stage.site.manage("shell", "-c", _MAKE_SESSION)
    context = browser.new_context(
        ignore_https_errors=True, viewport={"width": DESKTOP[0], "height": DESKTOP[1]}
    )
    page = context.new_page()
    page.goto(f"{demo}/admin/login/?next=/admin/jwt_auth/refreshtokenfamily/")
    page.get_by_label("Username:").fill("demo-admin")
    page.get_by_label("Password:").fill("only-for-the-demo")
    page.get_by_role("button", name="Log in").click()
    page.locator("#result_list").get_by_title("AnApplicationOfACompany").wait_for()
    needed, there = page.evaluate(_WIDTHS)
    assert needed <= there < DESKTOP[0] - 600
    page.goto(f"{demo}/admin/jwt_auth/refreshtokenfamily/?q=oberhausen&state=ended")
    page.get_by_text("1 session", exact=True).wait_for()
    context.close()
