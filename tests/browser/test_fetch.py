"""`fetch` of the client: as window.fetch, with the token for those that may have it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from jwt_auth.http.api_exceptions import INVALID_TOKEN_CHALLENGE
from tests.browser.devices import (
    Device,
    Stage,
    call,
    go_at_once,
    heard,
    hold,
    log_in,
    ready,
    seen,
    session_of,
    stop_clock,
    wait_for_client,
    wait_until,
)
from tests.live.site import PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

pytestmark = [pytest.mark.browser, pytest.mark.live, pytest.mark.example]

#: Bodies as an application may send them, and what has to arrive.
BODIES = {
    "text": ("'äöü'", "äöü"),
    "JSON": ("JSON.stringify({ a: 1 })", '{"a":1}'),
    "form": ("new URLSearchParams({ a: '1 2' })", "a=1+2"),
    "bytes": ("new Uint8Array([104, 105])", "hi"),
    "blob": ("new Blob(['a'.repeat(200000)])", "a" * 200_000),
}


#: The answer to a token that is refused.
REFUSED: dict[str, Any] = {
    "status": 401,
    "headers": {"WWW-Authenticate": INVALID_TOKEN_CHALLENGE},
}


def echo(tab: Page, url: str, init: str = "{}") -> dict[str, object]:
    """Ask the echo through the client; give its status and what has arrived there."""
    answer: dict[str, object] = tab.evaluate(
        f"(url) => auth.fetch(url, {init})"
        ".then(async (r) => ({ status: r.status, url: r.url, ...(await r.json()) }))",
        url,
    )
    return answer


@pytest.mark.engines
@pytest.mark.parametrize("kind", BODIES)
def test_request_with_a_body_is_repeated_whole_after_a_401(device: Device, kind: str) -> None:
    """One refresh, one repetition, the same body."""
    written, arrived = BODIES[kind]
    tab, sid = log_in(device)
    url = f"/stage/echo/?once={kind}-{sid}"
    answer = echo(tab, url, f"{{ method: 'POST', body: {written} }}")
    assert (answer["status"], answer["method"], answer["body"]) == (200, "POST", arrived)
    assert str(answer["authorization"]).startswith("Bearer ey")
    assert device.stage.events(sid, "session_refreshed") == 1


@pytest.mark.engines
def test_form_with_a_file_is_repeated_whole_after_a_401(device: Device) -> None:
    """The boundary of its parts stays the same too."""
    tab, sid = log_in(device)
    answer = tab.evaluate(
        """async (url) => {
          const body = new FormData();
          body.append("file", new Blob(["content"]), "name.txt");
          const response = await auth.fetch(new Request(url, { method: "PUT", body }));
          return response.json();
        }""",
        f"/stage/echo/?once=file-{sid}",
    )
    boundary = answer["type"].partition("boundary=")[2]
    assert answer["method"] == "PUT"
    assert answer["body"].count(boundary) == 2
    assert "content" in answer["body"]


@pytest.mark.engines
def test_denied_token_is_replaced_without_the_application_noticing(
    device: Device, stage: Stage
) -> None:
    """A real 401 of a real endpoint; a hundred at once are answered by one refresh."""
    tab, sid = log_in(device)
    tab.evaluate("auth.fetch('/api/auth/me/')")
    tab.evaluate("window.former = auth.claims.jti")
    deny(stage, tab.evaluate("former"))
    statuses = tab.evaluate(
        "Promise.all(Array.from({ length: 100 }, () => "
        "auth.fetch('/api/hello/').then((response) => response.status)))"
    )
    assert set(statuses) == {200}
    assert stage.events(sid, "session_refreshed") == 1
    assert tab.evaluate("auth.claims.jti !== former")


@pytest.mark.engines
def test_refreshes_asked_for_at_once_are_one(device: Device, stage: Stage) -> None:
    """As many components ask for, each on its own."""
    tab, sid = log_in(device)
    found = tab.evaluate("Promise.all([auth.refresh(), auth.refresh(), auth.refresh()])")
    assert found == [True] * 3
    assert stage.events(sid, "session_refreshed") == 1


def log_in_as(tab: Page, username: str) -> None:
    """Log in on a tab where somebody else may be."""
    tab.evaluate("([name, word]) => auth.login(name, word)", [username, PASSWORD])


def deny(stage: Stage, jti: str) -> None:
    """Deny one access token, as its operator would."""
    stage.site.manage("revoke_tokens", "--jti", jti)


def test_second_401_is_given_to_the_caller(device: Device) -> None:
    """Once is enough: no loop."""
    tab, sid = log_in(device)
    refused: list[str] = []

    def refuse(route: Route) -> None:
        refused.append(route.request.url)
        route.fulfill(**REFUSED)

    tab.route("**/stage/echo/", refuse)
    assert tab.evaluate("auth.fetch('/stage/echo/').then((response) => response.status)") == 401
    assert len(refused) == 2
    assert session_of(tab) == sid


def test_token_that_is_refused_again_at_once_is_not_refreshed_again(device: Device) -> None:
    """An API that refuses all of them costs one refresh each ten seconds, not one a call."""
    stop_clock(device.context)
    tab, sid = log_in(device)
    tab.route("**/stage/echo/", lambda route: route.fulfill(**REFUSED))
    ask = "auth.fetch('/stage/echo/').then((response) => response.status)"
    assert [tab.evaluate(ask) for _ in range(3)] == [401] * 3
    assert device.stage.events(sid, "session_refreshed") == 1
    device.context.clock.run_for(10_000)
    assert [tab.evaluate(ask) for _ in range(3)] == [401] * 3
    assert device.stage.events(sid, "session_refreshed") == 2
    assert session_of(tab) == sid


@pytest.mark.parametrize(
    "answer",
    [
        {"headers": {"WWW-Authenticate": 'Bearer realm="api"'}},
        {"json": {"detail": "The PIN is wrong.", "code": "wrong_pin"}},
        {"body": "<h1>Log in</h1>", "content_type": "text/html"},
        {"body": "{", "content_type": "application/json"},
        {"body": "null", "content_type": "application/json"},
    ],
    ids=["no token", "wrong PIN", "a proxy", "broken", "null"],
)
def test_applications_own_401_is_given_to_the_caller(
    device: Device, stage: Stage, answer: dict[str, Any]
) -> None:
    """The request has been acted upon: it is not sent a second time, and nothing is refreshed."""
    tab, sid = log_in(device)
    sent: list[str] = []

    def refuse(route: Route) -> None:
        sent.append(route.request.method)
        route.fulfill(status=401, **answer)

    tab.route("**/stage/echo/", refuse)
    post = "auth.fetch('/stage/echo/', { method: 'POST', body: 'pin=1234' })"
    status, body = tab.evaluate(f"{post}.then(async (r) => [r.status, await r.text()])")
    assert status == 401
    assert body == answer.get("body", body)  # nobody has read it before
    assert sent == ["POST"]
    assert stage.events(sid, "session_refreshed") == 0


def test_refused_token_is_known_by_the_code_of_the_body(device: Device, stage: Stage) -> None:
    """CORS may hide the header."""
    tab, sid = log_in(device)
    body = {"detail": "", "code": "invalid_token"}
    tab.route("**/stage/echo/", lambda route: route.fulfill(status=401, json=body), times=1)
    assert echo(tab, "/stage/echo/")["status"] == 200
    assert stage.events(sid, "session_refreshed") == 1


def test_request_of_one_user_is_not_repeated_as_another(device: Device) -> None:
    """Its 401 comes when somebody else has logged in on the page."""
    tab, _ = log_in(device)
    held = hold(tab, "**/stage/echo/")
    tab.evaluate("() => { window.late = auth.fetch('/stage/echo/').then((r) => r.status) }")
    wait_until(lambda: held, "no request", tab)
    other = device.stage.make_user()
    log_in_as(tab, other)
    held[0].fulfill(**REFUSED)
    assert tab.evaluate("late") == 401
    assert len(held) == 1


def test_request_of_one_user_takes_no_cookie_of_another(device: Device) -> None:
    """Where access tokens are in a cookie, it would else be answered with the other's data."""
    tab, _ = log_in(device)
    other = device.open()
    ready(other)
    held = hold(other, "**/api/auth/refresh/")
    log_in_as(tab, device.stage.make_user())
    wait_until(lambda: held, "no refresh", other)
    other.evaluate("() => { window.late = auth.fetch('/api/auth/me/').then((r) => r.status) }")
    with other.expect_request("**/api/auth/me/") as sent:
        held[0].continue_()
    assert other.evaluate("late") == 401
    assert not {"authorization", "cookie"} & sent.value.all_headers().keys()


def test_request_that_a_password_change_overtakes_is_repeated(device: Device) -> None:
    """Its 401 comes while the tab asks for the new session's token: it waits for that one."""
    tab, _ = log_in(device)
    other = device.open()
    ready(other)
    calls = hold(other, "**/stage/echo/")
    refreshes = hold(other, "**/api/auth/refresh/")
    other.evaluate("() => { window.late = auth.fetch('/stage/echo/').then((r) => r.status) }")
    wait_until(lambda: calls, "no request", other)
    tab.evaluate("([old, word]) => auth.changePassword(old, word)", [PASSWORD, PASSWORD + "!"])
    wait_until(lambda: refreshes, "no refresh", other)
    with other.expect_response("**/stage/echo/"):
        calls[0].fulfill(**REFUSED)
    refreshes[0].continue_()
    wait_until(lambda: len(calls) > 1, "the request is not repeated", other)
    calls[1].fulfill(status=200)
    assert other.evaluate("late") == 200


def test_password_change_that_waits_is_not_sent_for_another_user(device: Device) -> None:
    """Somebody else's log-in was before it; its answer would put the former user back."""
    tab, _ = log_in(device)
    held = hold(tab, "**/api/auth/login/")
    other = device.stage.make_user()
    tab.evaluate("([name, word]) => { auth.login(name, word) }", [other, PASSWORD])
    wait_until(lambda: held, "no log-in", tab)
    change = "auth.changePassword(old, old + '!').catch((e) => [e.code, e.temporary])"
    tab.evaluate(f"(old) => {{ window.late = {change} }}", PASSWORD)
    sent = heard(tab, "request")
    held[0].continue_()
    assert tab.evaluate("late") == ["session_changed", True]
    assert [request.url for request in sent if "password" in request.url] == []
    assert call(tab) == 200


def test_news_of_another_session_is_followed_by_a_refresh_of_its_own(device: Device) -> None:
    """The one that is under way may bring the former session's token."""
    tab, _ = log_in(device)
    held = hold(tab, "**/api/auth/refresh/")
    tab.evaluate("() => { auth.refresh() }")
    wait_until(lambda: held, "no refresh", tab)
    channel = "new BroadcastChannel('jwt_auth ' + new URL('/api/auth/', location.href))"
    tab.evaluate(f"() => {{ {channel}.onmessage = () => events.push('news') }}")
    somewhere = device.open("/stage/empty/")
    somewhere.evaluate(f"{channel}.postMessage({{ sid: 'another' }})")
    wait_until(lambda: "news" in seen(tab), "the news has not come")
    held[0].continue_()
    wait_until(lambda: len(held) > 1, "no refresh of its own", tab)
    held[1].continue_()
    tab.unroute_all()
    assert call(tab) == 200


#: Has the page hear of another session in the moment in which it gets a token.
HEAR_IN_BETWEEN = """
window.channels = [];
window.BroadcastChannel = class extends BroadcastChannel {
  constructor(name) {
    super(name);
    channels.push(this);
  }
};
"""


def test_news_after_the_answer_is_no_end_of_the_session(device: Device) -> None:
    """The refresh that has lost its token again says so by another try, and not by "log in"."""
    device.context.add_init_script(HEAR_IN_BETWEEN)
    tab, sid = log_in(device)
    found = tab.evaluate(
        """() => {
          const hear = () => channels[0].onmessage({ data: { sid: "another" } });
          auth.addEventListener("change", hear, { once: true });
          return auth.refresh();
        }"""
    )
    assert found is True
    assert (session_of(tab), call(tab)) == (sid, 200)


def test_call_that_waits_for_a_token_can_be_aborted(device: Device) -> None:
    """The application's own time-out holds there, too."""
    tab, _ = log_in(device)
    tab = device.blank()
    held = hold(tab, "**/api/auth/refresh/")  # and never answered
    go_at_once(tab, device.stage.url())
    wait_for_client(tab)
    call = "auth.fetch('/stage/echo/', { signal: AbortSignal.timeout(300) })"
    assert tab.evaluate(f"{call}.catch((error) => error.name)") == "TimeoutError"
    assert len(held) <= 1  # the refresh is not given up yet


#: Counts the listeners that signals have.
COUNT_LISTENERS = """
window.listening = 0;
for (const [name, step] of [["addEventListener", 1], ["removeEventListener", -1]]) {
  AbortSignal.prototype[name] = function (...given) {
    listening += step;
    return EventTarget.prototype[name].apply(this, given);
  };
}
"""


def test_signal_that_outlives_its_requests_keeps_no_listeners(device: Device) -> None:
    """One for a whole page, for example; a listener would keep each request alive with it."""
    device.context.add_init_script(COUNT_LISTENERS)
    tab, _ = log_in(device)
    before = tab.evaluate("listening")
    calls = "auth.fetch('/api/hello/', { signal }).then((response) => response.status)"
    statuses = tab.evaluate(
        f"""() => {{
          window.controller = new AbortController();
          const {{ signal }} = controller;
          return Promise.all(Array.from({{ length: 20 }}, () => {calls}));
        }}"""
    )
    assert set(statuses) == {200}
    assert tab.evaluate("listening") == before


@pytest.mark.engines
def test_log_out_everywhere_that_is_refused_is_told(
    device: Device, new_device: Callable[..., Device]
) -> None:
    """What a user does about a thief must not seem done."""
    tab, sid = log_in(device)
    other = new_device(device.username)
    there, _ = log_in(other)
    ended = f"auth.fetch('/api/auth/sessions/{sid}/', {{ method: 'DELETE' }}).then((r) => r.status)"
    assert there.evaluate(ended) == 204
    assert tab.evaluate("auth.logoutAll().catch((error) => error.status)") == 401
    assert call(there) == 200


def test_without_a_session_requests_go_out_as_they_are(device: Device) -> None:
    """No token, no refresh for each."""
    tab = device.open()
    assert ready(tab) is False
    sent: list[str] = []
    tab.on("request", lambda request: sent.append(request.url))
    assert call(tab) == 401
    assert echo(tab, "/stage/echo/")["authorization"] is None
    assert len(sent) == 2


@pytest.mark.engines
def test_callers_own_authorization_header_is_left_alone(device: Device) -> None:
    """It is for something else."""
    tab, _ = log_in(device)
    answer = echo(tab, "/stage/echo/", "{ headers: { Authorization: 'Basic eA==' } }")
    assert answer["authorization"] == "Basic eA=="


@pytest.mark.engines
@pytest.mark.parametrize("host", ["other.localhost", "sub.app.localhost"])
def test_other_origin_is_never_sent_the_token(device: Device, stage: Stage, host: str) -> None:
    """Nor is a refresh tried for its 401."""
    tab, sid = log_in(device)
    url = stage.url("/stage/echo/", host)
    assert echo(tab, url)["authorization"] is None
    assert echo(tab, f"{url}?once={host}-{sid}")["status"] == 401
    assert stage.events(sid, "session_refreshed") == 0


@pytest.mark.engines
def test_named_origin_is_sent_the_token(device: Device, stage: Stage) -> None:
    """For an API on a host of its own."""
    other = stage.url("", "api.localhost")
    log_in(device)
    tab = device.open(f"/stage/?origin={other}")
    assert ready(tab) is True
    assert str(echo(tab, f"{other}/stage/echo/")["authorization"]).startswith("Bearer ey")


@pytest.mark.engines
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_redirect_to_another_origin_loses_the_token(
    device: Device, stage: Stage, method: str
) -> None:
    """The browser strips it (Fetch §4.4): an open redirect of the API gives nothing away."""
    tab, _ = log_in(device)
    away = stage.url("/stage/echo/", "evil.localhost")
    answer = echo(tab, f"/stage/away/?to={away}", f"{{ method: '{method}' }}")
    assert (answer["url"], answer["authorization"]) == (away, None)
    at_home = echo(tab, "/stage/away/?to=/stage/echo/", f"{{ method: '{method}' }}")
    assert str(at_home["authorization"]).startswith("Bearer ey")


def test_log_in_follows_no_redirect(device: Device, stage: Stage) -> None:
    """A password is sent where it was meant to go, or nowhere."""
    tab = device.open()
    ready(tab)
    away = stage.url("/stage/echo/", "evil.localhost")
    tab.route(
        "**/login/",
        lambda route: route.fulfill(status=307, headers={"Location": away}),
    )
    sent: list[str] = []
    tab.on("request", lambda request: sent.append(request.url))
    error = tab.evaluate("auth.login('x', 'y').catch((e) => [e.status, e.code])")
    assert error == [0, "network_error"]
    assert away not in sent


@pytest.mark.engines
def test_aborted_request_rejects_as_windows_fetch_does(device: Device) -> None:
    """The caller's signal is the caller's."""
    tab, _ = log_in(device)
    name = tab.evaluate(
        "auth.fetch('/api/hello/', { signal: AbortSignal.abort() }).catch((e) => e.name)"
    )
    assert name == "AbortError"


@pytest.mark.engines
def test_fetch_can_be_handed_on_by_itself(device: Device) -> None:
    """Axios and others are given the function alone."""
    tab, _ = log_in(device)
    status = tab.evaluate("(({ fetch }) => fetch('/api/hello/').then((r) => r.status))(auth)")
    assert status == 200


@pytest.mark.engines
def test_wrong_password_is_told_and_keeps_the_session(device: Device) -> None:
    """The error says what the server said, and holds no secret."""
    tab, sid = log_in(device)
    error = tab.evaluate(
        "(name) => auth.login(name, 'wrong').catch((e) => "
        "[e instanceof AuthError, e.name, e.status, e.code, e.retryAfter, e.temporary])",
        device.username,
    )
    assert error == [True, "AuthError", 401, "invalid_credentials", None, False]
    assert (session_of(tab), call(tab)) == (sid, 200)


def test_logout_that_can_not_be_told_the_server_is_no_logout(device: Device) -> None:
    """The cookie would log in again at the next reload."""
    tab, sid = log_in(device)
    tab.route("**/logout/", lambda route: route.fulfill(status=403))
    error = tab.evaluate("auth.logout().catch((e) => [e.status, e.code])")
    assert error == [403, "http_error"]
    assert session_of(tab) == sid
    assert "logout" not in seen(tab)


@pytest.mark.engines
def test_client_that_was_closed_hears_and_does_no_more(device: Device) -> None:
    """Another one may be made in its place."""
    tab, sid = log_in(device)
    tab.evaluate("auth.close()")
    other, third = device.open(), device.open()
    ready(other)
    ready(third)
    log_in_as(other, device.stage.make_user())
    wait_until(lambda: session_of(third) == session_of(other), "nobody hears")
    assert session_of(tab) == sid
