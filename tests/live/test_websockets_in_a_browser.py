"""The page's part of docs/how-to/websockets.md, as it stands there, in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.devices import PATIENCE
from tests.browser.engines import CHROMIUM, start
from tests.live.asgi_server import serve_asgi
from tests.live.site import PASSWORD, ROOT, Server, Site
from tests.neighbours.packages import optional, required_file

sync_api = optional("playwright.sync_api")
for package in ("adrf", "channels"):  # the project of the test imports them
    optional(package)
required_file(Path(CHROMIUM))

pytestmark = [pytest.mark.browser, pytest.mark.chromium, pytest.mark.live, pytest.mark.example]

_PAGE = ROOT / "docs/how-to/websockets.md"

#: Log in, run the page's code with a note of what happens, and let the test go on from there.
_SCRIPT = """
async (password) => {
  const { createAuthClient } = await import("/static/jwt_auth/client.js");
  window.auth = createAuthClient({ baseUrl: "/api/auth/" });
  await auth.ready;
  await auth.login("alice", password);
  window.noted = { sent: 0, codes: [], messages: [] };
  class Watched extends WebSocket {
    constructor(url) {
      super(url);
      this.addEventListener("close", (event) => noted.codes.push(event.code));
      this.addEventListener("message", (event) => noted.messages.push(JSON.parse(event.data)));
    }
    send(text) {
      noted.sent += 1;
      super.send(text);
    }
  }
  window.socket = ((WebSocket, auth) => {
    // the code
    return socket;
  })(Watched, auth);
}
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """One browser for all tests."""
    with sync_api.sync_playwright() as playwright:
        browser = start(playwright.chromium)
        yield browser
        browser.close()


@pytest.fixture
def server(site: Site, tmp_path: Path) -> Iterator[Server]:
    with serve_asgi(site, tmp_path) as server:
        yield server


@pytest.fixture
def page(chromium: Any, server: Server) -> Iterator[Any]:
    """A page that runs the code of the documentation."""
    context = chromium.new_context(bypass_csp=True)  # Playwright evaluates texts in the page
    context.set_default_timeout(PATIENCE * 1000)
    page = context.new_page()
    page.goto(f"{server.address}/")
    (code,) = re.findall(r"```js\n(async function sendToken.*?)```", _PAGE.read_text(), re.DOTALL)
    address = f"{server.address.replace('http', 'ws', 1)}/ws/"
    code = code.replace("wss://www.example.com/ws/chat/", address)
    assert address in code
    page.evaluate(_SCRIPT.replace("// the code", code), PASSWORD)
    # More than once if the login's event comes late.
    page.wait_for_function("noted.sent > 0")
    yield page
    context.close()


def _is_answered(page: Any, word: str) -> None:
    page.evaluate("(word) => socket.send(JSON.stringify(word))", word)
    page.wait_for_function("(word) => noted.messages.some((each) => each.said === word)", arg=word)


def test_socket_goes_on_after_a_refresh(page: Any) -> None:
    """The page sends the fresh token by itself."""
    _is_answered(page, "before")
    sent = page.evaluate("noted.sent")
    page.evaluate("auth.refresh()")
    page.wait_for_function("(sent) => noted.sent > sent", arg=sent)
    _is_answered(page, "after")
    assert page.evaluate("noted.codes") == []


def test_socket_is_closed_when_the_session_ends_elsewhere(page: Any, site: Site) -> None:
    """With the code that the page refreshes for, and learns that it is logged out."""
    _is_answered(page, "before")
    site.manage("revoke_tokens", "--user", "alice")
    page.wait_for_function("noted.codes.length === 1")
    assert page.evaluate("noted.codes") == [4401]
    page.wait_for_function("auth.claims === null")


def test_socket_is_closed_by_the_page_when_its_user_logs_out(page: Any) -> None:
    """At once."""
    _is_answered(page, "before")
    page.evaluate("auth.logout()")
    page.wait_for_function("noted.codes.length === 1")
