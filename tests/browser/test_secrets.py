"""Neither an injected script nor another origin gets at the session's secrets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.browser.devices import (
    Device,
    Stage,
    call,
    log_in,
    ready,
    seen,
    session_of,
    wait_until,
)
from tests.live.site import PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.live, pytest.mark.example]

#: What a script of the page's own origin can look at, by and by. Everything that can be walked to
#: from window, the client with its prototypes among it; the DOM; all storages; the errors.
LOOT = """
async () => {
  const loot = [document.cookie, document.documentElement.outerHTML, location.href];
  loot.push(JSON.stringify({ ...localStorage }), JSON.stringify({ ...sessionStorage }));
  for (const { name } of await indexedDB.databases()) {
    const database = await new Promise((resolve) => {
      const opening = indexedDB.open(name);
      opening.onsuccess = () => resolve(opening.result);
    });
    for (const store of database.objectStoreNames) {
      const records = database.transaction(store).objectStore(store);
      for (const reading of [records.getAll(), records.getAllKeys()])
        loot.push(JSON.stringify(await new Promise((resolve) => {
          reading.onsuccess = () => resolve(reading.result);
        })));
    }
  }
  for (const name of await caches.keys())
    for (const request of await (await caches.open(name)).keys()) loot.push(request.url);
  loot.push(...performance.getEntries().map((entry) => JSON.stringify(entry)));
  const error = await auth.login("nobody", "wrong").catch((error) => error);
  loot.push(String(error), error.stack, JSON.stringify(error));

  const known = new Set();
  const waiting = [window, error, auth];
  while (waiting.length && known.size < 300_000) {
    const next = waiting.pop();
    if (next === null || (typeof next !== "object" && typeof next !== "function")) {
      if (typeof next === "string" || typeof next === "symbol") loot.push(String(next));
      continue;
    }
    if (known.has(next)) continue;
    known.add(next);
    if (typeof next === "function") loot.push(Function.prototype.toString.call(next));
    try {
      for (const key of Reflect.ownKeys(next)) {
        loot.push(String(key));
        try {
          const value = next[key];
          if (value instanceof Promise) value.catch(() => {}); // some getters give a rejected one
          waiting.push(value);
        } catch {}
      }
      waiting.push(Object.getPrototypeOf(next));
      if (next instanceof Map || next instanceof Set) waiting.push(...next, ...next.keys());
    } catch {}
  }
  return { size: known.size, all: loot.join("\\n") };
}
"""

#: What can be laid before the client's feet once it is there, to be stumbled over.
TRAPS = """
() => {
  window.caught = [];
  const fetch = window.fetch;
  window.fetch = (...all) => {
    caught.push(JSON.stringify(all), ...(all[0].headers ?? new Headers()).values());
    return fetch(...all);
  };
  for (const target of [window, auth])
    for (const type of ["change", "sessionend", "message", "error", "unhandledrejection"])
      target.addEventListener(type, (event) => {
        for (const key in event) try { caught.push(JSON.stringify(event[key])); } catch {}
      });
  const channel = new BroadcastChannel(`jwt_auth ${location.origin}/api/auth/`);
  channel.onmessage = (event) => caught.push(JSON.stringify(event.data));
}
"""


def access_tokens(tab: Page) -> list[str]:
    """Collect the access tokens that a tab is answered from now on, from below the page."""
    tokens: list[str] = []
    tab.on(
        "response",
        lambda response: (
            tokens.append(response.json()["access_token"])
            if response.ok and response.url.endswith(("/login/", "/refresh/"))
            else None
        ),
    )
    return tokens


def parts(tokens: list[str]) -> list[str]:
    """Give what must not be found: the signatures, and the tokens as they are."""
    return [part for token in tokens for part in (token, token.rpartition(".")[2]) if part]


def test_injected_script_finds_neither_token(device: Device) -> None:
    """Not in cookies, storages, the DOM, or anything that can be walked to from window."""
    tab = device.open()
    tokens = access_tokens(tab)
    ready(tab)
    tab.evaluate("([name, word]) => auth.login(name, word)", [device.username, PASSWORD])
    former = device.cookie()
    assert tab.evaluate("auth.refresh()") is True
    assert call(tab) == 200
    found = tab.evaluate(LOOT)
    wait_until(lambda: len(tokens) == 2, "the answers were not seen", tab)
    assert found["size"] > 1000, "the walk did not get far"
    assert "jwt_auth" in found["all"], "the walk did not see what is there"
    for secret in [*parts(tokens), former, device.cookie()]:
        assert secret not in found["all"]
    assert "__Secure-" not in found["all"]


def test_injected_script_that_listens_hears_neither_token(device: Device) -> None:
    """Neither events, messages nor a patched fetch show one."""
    tab = device.open()
    tokens = access_tokens(tab)
    ready(tab)
    other = device.open()
    ready(other)
    tab.evaluate(TRAPS)
    other.evaluate(TRAPS)
    tab.evaluate("([name, word]) => auth.login(name, word)", [device.username, PASSWORD])
    assert (tab.evaluate("auth.refresh()"), call(tab)) == (True, 200)
    tab.evaluate("auth.logout()")
    wait_until(lambda: "logout" in seen(other), "the other tab hears nothing")
    wait_until(lambda: len(tokens) == 2, "the answers were not seen", tab)
    heard = json.dumps(tab.evaluate("caught") + other.evaluate("caught"))
    assert "sid" in heard, "the traps are not set"
    for secret in parts(tokens):
        assert secret not in heard


@pytest.mark.parametrize(
    ("host", "site"),
    [("evil.app.localhost", "same-site"), ("evil.localhost", "cross-site")],
    ids=["same site", "cross-site"],
)
@pytest.mark.parametrize("path", ["login/", "refresh/", "logout/"])
def test_form_on_another_origin_can_do_nothing(
    device: Device, stage: Stage, host: str, site: str, path: str
) -> None:
    """Whichever site it is: nobody is logged in, nothing is rotated, nobody is logged out."""
    tab, sid = log_in(device)
    before = device.cookie()
    lure = device.blank()
    lure.goto(stage.url("/stage/empty/", host))
    with lure.expect_response(f"**/api/auth/{path}") as answer:
        lure.evaluate(
            """([action, username, password]) => {
              const form = document.createElement("form");
              Object.assign(form, { method: "post", action });
              for (const [name, value] of Object.entries({ username, password })) {
                const field = document.createElement("input");
                Object.assign(field, { name, value });
                form.append(field);
              }
              document.body.append(form);
              form.submit();
            }""",
            [stage.url(f"/api/auth/{path}"), stage.make_user(), PASSWORD],
        )
    sent = answer.value.request.all_headers()
    assert sent["sec-fetch-site"] == site
    assert (before in sent.get("cookie", "")) == (site == "same-site"), "SameSite=Strict"
    assert answer.value.status == 403
    assert "cross_site_request" in answer.value.text()
    assert device.cookie() == before
    assert tab.evaluate("auth.refresh()") is True
    assert (session_of(tab), seen(tab).count("logout")) == (sid, 0)
    assert stage.events(sid, "session_ended", "reuse_detected") == 0


@pytest.mark.parametrize("path", ["login/", "refresh/", "logout/"])
def test_script_on_another_origin_can_do_nothing(device: Device, stage: Stage, path: str) -> None:
    """Neither with CORS, which the site does not grant, nor without."""
    tab, sid = log_in(device)
    before = device.cookie()
    lure = device.blank()
    lure.goto(stage.url("/stage/empty/", "evil.localhost"))
    outcomes = lure.evaluate(
        """async ([url, body]) => {
          const common = { method: "POST", credentials: "include" };
          const json = { headers: { "Content-Type": "application/json" }, body };
          const plain = { mode: "no-cors", body: new URLSearchParams(JSON.parse(body)) };
          const send = (init) => fetch(url, { ...common, ...init }).then((r) => r.type, String);
          return [await send(json), await send(plain)];
        }""",
        [
            stage.url(f"/api/auth/{path}"),
            json.dumps({"username": stage.make_user(), "password": PASSWORD}),
        ],
    )
    refused, sent = outcomes
    assert refused.startswith("TypeError: ")  # each engine has its own words
    assert sent == "opaque"
    assert device.cookie() == before
    assert tab.evaluate("auth.refresh()") is True
    assert session_of(tab) == sid
