"""The files that docs/how-to/recipes has readers copy, as they stand there, at work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.devices import PATIENCE, stop_clock, wait_until
from tests.live.site import PASSWORD
from tests.revocation.redis.servers import free_port

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

    from tests.browser.devices import Device, Stage

pytestmark = [pytest.mark.browser, pytest.mark.live, pytest.mark.example]

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "docs" / "how-to" / "recipes"
CLIENT = ROOT / "jwt_auth" / "static" / "jwt_auth"

REFRESH, HELLO = "/api/auth/refresh/", "/api/hello/"
TIMES = 20
#: What the console must not be told.
BAD = {"error", "warning"}

#: Keeps every text that the heading has had, however shortly.
WATCH_HEADINGS = """() => {
    window.shown = [];
    document.querySelector("h1").isOld = true;
    new MutationObserver(() => {
        const text = document.querySelector("h1")?.textContent;
        if (text && text !== shown.at(-1)) shown.push(text);
    }).observe(document.body, { childList: true, characterData: true, subtree: true });
}"""


@pytest.fixture(scope="module")
def recipes(npm: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All recipes in one folder, with what they import; they keep to their types."""
    folder = tmp_path_factory.mktemp("recipes") / "all"
    shutil.copytree(
        ROOT / "tests" / "browser" / "recipes",
        folder,
        ignore=shutil.ignore_patterns("node_modules"),
    )
    for name in ("axios", "front-end-tests", "mobile", "node-server", "react"):
        shutil.copytree(RECIPES / name, folder / name)
    run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"], folder)
    shutil.copytree(CLIENT, folder / "node_modules" / "django-jwt-sessions-client")
    run([tool(folder, "tsc"), "-p", "."], folder)
    # React's development build: only that mounts components twice in StrictMode.
    bundle(folder, "react/main.tsx", "axios-page.ts", "--define:process.env.NODE_ENV='development'")
    bundle(folder, "phone.ts", "node-server/server.tsx", "--platform=node", "--packages=external")
    bundle(folder, "node-server/page.tsx")
    return folder


def tool(folder: Path, name: str) -> str:
    """Name a program that npm has installed."""
    return str(folder / "node_modules" / ".bin" / name)


def bundle(folder: Path, *arguments: str) -> None:
    """Have esbuild make modules that run without a build tool."""
    options = ("--bundle", "--format=esm", "--jsx=automatic", "--outdir=out", "--outbase=.")
    run([tool(folder, "esbuild"), *arguments, *options, "--log-level=warning"], folder)


def run(command: Sequence[str], folder: Path) -> None:
    """Run a tool; show what it said where it fails."""
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def open_recipe(device: Device, script: Path) -> Page:
    """Open a page of the site's origin that has nothing but the script."""
    html = '<!doctype html><div id="root"></div><script type="module" src="s"></script>'
    files: Mapping[str, Mapping[str, Any]] = {
        "": {"body": html, "content_type": "text/html"},
        "s": {"path": script, "content_type": "text/javascript"},
    }

    def answer(route: Route) -> None:
        route.fulfill(**files[route.request.url.rpartition("/")[2]])

    device.context.route(f"**/{script.stem}/*", answer)
    return device.open(f"/{script.stem}/")


def log_in(device: Device, recipes: Path) -> Page:
    """Log in on axios' page."""
    tab = open_recipe(device, recipes / "out" / "axios-page.js")
    tab.wait_for_function("window.auth")
    tab.evaluate("([name, word]) => auth.login(name, word)", [device.username, PASSWORD])
    return tab


@contextmanager
def counted(tab: Page) -> Iterator[Counter[str]]:
    """Count the tab's requests by their paths."""
    paths: Counter[str] = Counter()

    def count(request: Any) -> None:
        paths["/" + request.url.split("/", 3)[3]] += 1

    tab.on("request", count)
    yield paths
    tab.remove_listener("request", count)


def refuse_present_token(device: Device) -> None:
    """Have the server see another token in place of the one that a page has now."""
    refused: list[str] = []

    def spoil(route: Route) -> None:
        headers = dict(route.request.headers)
        present = headers.get("authorization", "")
        refused.append(present)
        if present == refused[0]:
            headers["authorization"] = "Bearer not.a.token"
        route.continue_(headers=headers)

    device.context.route(f"**{HELLO}", spoil)


def test_react_in_strict_mode_refreshes_once_and_keeps_users_apart(
    recipes: Path, device: Device
) -> None:
    """Mounted twice it refreshes once; another user sees nothing of the one before."""
    from playwright.sync_api import expect

    tab = open_recipe(device, recipes / "out" / "react" / "main.js")
    for username in (device.username, device.stage.make_user()):
        tab.get_by_label("User name").fill(username)
        tab.get_by_label("Password").fill(PASSWORD)
        tab.get_by_role("button").click()
        expect(tab.get_by_role("heading")).to_have_text(f"Hello, {username}")
        with counted(tab) as paths:
            tab.reload()
            expect(tab.get_by_role("heading")).to_have_text(f"Hello, {username}")
        assert (paths[REFRESH], paths["/api/auth/me/"]) == (1, 1)
        tab.get_by_role("button").click()
        expect(tab.get_by_role("heading")).to_have_count(0)


def test_react_waits_on_where_an_answer_makes_no_sense(recipes: Path, device: Device) -> None:
    """An ingress answers 404 in its place during a deployment, and then no longer."""
    from playwright.sync_api import expect

    log_in(device, recipes)
    stop_clock(device.context)
    said: list[str] = []
    device.context.on("console", lambda message: said.append(message.text))
    device.context.route(f"**{REFRESH}", lambda route: route.fulfill(status=404), times=1)
    tab = open_recipe(device, recipes / "out" / "react" / "main.js")
    wait_until(lambda: "can't be asked for" in str(said), "no word", tab)
    expect(tab.get_by_role("status")).to_have_text("One moment …")
    device.context.clock.run_for(31_000)
    device.context.clock.resume()
    expect(tab.get_by_role("heading")).to_have_text(f"Hello, {device.username}")


def test_react_shows_nothing_of_the_user_before(recipes: Path, device: Device) -> None:
    """When somebody else logs in, in another tab, the cache and the components begin anew."""
    from playwright.sync_api import expect

    tab = open_recipe(device, recipes / "out" / "react" / "main.js")
    other = log_in(device, recipes)
    expect(tab.get_by_role("heading")).to_have_text(f"Hello, {device.username}")
    tab.evaluate(WATCH_HEADINGS)
    name = device.stage.make_user()
    other.evaluate("([name, word]) => auth.login(name, word)", [name, PASSWORD])
    expect(tab.get_by_role("heading")).to_have_text(f"Hello, {name}")
    assert tab.evaluate("shown") == ["Hello", f"Hello, {name}"]
    assert not tab.evaluate("document.querySelector('h1').isOld")  # nor any component's state
    other.evaluate("auth.logout()")
    expect(tab.get_by_label("Password")).to_be_visible()


def test_axios_refreshes_once_for_many_refused_requests(recipes: Path, device: Device) -> None:
    """Each of them is answered after all, with one refresh; without a session the page is told."""
    tab = log_in(device, recipes)
    refuse_present_token(device)
    with counted(tab) as paths:
        calls = f"Promise.all(Array.from({{ length: {TIMES} }}, () => get('hello/')))"
        assert tab.evaluate(calls) == [200] * TIMES
    assert paths == {HELLO: 2 * TIMES, REFRESH: 1}
    assert tab.evaluate("post('auth/password/change/', { old_password: 'no' })") == 400
    tab.evaluate("auth.logout()")
    assert tab.evaluate("get('hello/')") == 401
    assert tab.evaluate("loginNeeded") == 1


def test_front_end_tests_run_without_a_browser(recipes: Path) -> None:
    """The client in jsdom, with a server that MSW plays."""
    run([tool(recipes, "vitest"), "run"], recipes / "front-end-tests")


@pytest.fixture
def node_server(recipes: Path) -> Iterator[str]:
    """The Node server that renders pages; its address."""
    port = str(free_port())
    command = ["node", "out/node-server/server.js"]
    environment = {"PATH": os.environ["PATH"], "PORT": port}
    with subprocess.Popen(command, cwd=recipes, env=environment, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"listening\n"
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def test_rendered_page_is_everybodys_until_the_browser_has_refreshed(
    recipes: Path, device: Device, node_server: str
) -> None:
    """The HTML knows no user and its request carried no cookie; the browser fills the name in."""
    from playwright.sync_api import expect

    def forward(route: Route) -> None:  # as the reverse proxy in front of both servers does
        route.fulfill(response=route.fetch(url=node_server + "/" + route.request.url.split("/")[3]))

    device.context.route("**/shop", forward)
    device.context.route("**/page.js", forward)
    log_in(device, recipes)
    assert device.cookie()
    tab = device.blank()
    complaints: list[str] = []
    tab.on("console", lambda said: complaints.append(said.text) if said.type in BAD else None)
    with counted(tab) as paths:
        answer = tab.goto(device.stage.url("/shop"))
        expect(tab.get_by_role("complementary")).to_have_text(f"Hello, {device.username}")
    assert answer is not None
    assert device.username not in answer.text()
    assert "One moment" in answer.text()
    assert "cookie" not in answer.request.all_headers()
    assert paths[REFRESH] == 1
    assert complaints == []  # no difference between what the server and the browser rendered


class Phone:
    """The process of phone.ts, and the folder that outlives it."""

    def __init__(self, recipes: Path, stage: Stage, folder: Path) -> None:
        self.file = folder / "secrets" / "session"
        self._command = ["node", "out/phone.js", stage.server.address, str(self.file)]
        self._recipes = recipes
        self._certificate = str(stage.server.certificate)
        self.start()

    def start(self) -> None:
        """Start the application."""
        self.process = subprocess.Popen(
            self._command,
            cwd=self._recipes,
            env={"PATH": os.environ["PATH"], "NODE_EXTRA_CA_CERTS": self._certificate},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def say(self, command: str) -> None:
        """Type a command."""
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def do(self, command: str) -> tuple[Any, list[str]]:
        """Give a command's answer, and the keys of the refreshes that it took."""
        assert self.process.stdout is not None
        self.say(command)
        line = json.loads(self.process.stdout.readline())
        return line["answer"], line["keys"]

    def kept(self) -> dict[str, str]:
        """Read what it keeps."""
        kept: dict[str, str] = json.loads(self.file.read_text())
        return kept

    def stop(self) -> None:
        """End the application."""
        with self.process:
            self.process.kill()


@pytest.fixture
def phone(recipes: Path, stage: Stage, device: Device, tmp_path: Path) -> Iterator[Phone]:
    """A phone whose user has logged in and started the application again."""
    phone = Phone(recipes, stage, tmp_path)
    assert phone.do(f"login {device.username} {PASSWORD}") == (None, [])
    phone.stop()
    phone.start()
    yield phone
    phone.stop()


def test_phone_refreshes_once_for_many_calls(phone: Phone) -> None:
    """However many calls need a token, one request is made; only the owner can read the file."""
    answers, keys = phone.do(f"call {TIMES}")
    assert (answers, len(keys)) == ([200] * TIMES, 1)
    assert phone.kept()["pendingKey"] is None
    assert phone.file.stat().st_mode & 0o777 == 0o600


def test_phone_that_loses_an_answer_asks_again_with_the_same_key(phone: Phone) -> None:
    """The answer comes the second time, and the session goes on."""
    phone.do("fault lose")
    answers, keys = phone.do("call 3")
    assert answers == [200] * 3
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_phone_that_dies_before_it_has_stored_the_answer_goes_on(phone: Phone) -> None:
    """The key was stored before the request, so the next start gets the same answer."""
    phone.do("fault die")
    phone.say("call 1")
    assert phone.process.wait(PATIENCE) == 9
    phone.stop()
    pending = phone.kept()
    phone.start()
    assert phone.do("call 1") == ([200], [pending["pendingKey"]])
    assert phone.kept()["refreshToken"] != pending["refreshToken"]


def test_phone_whose_token_was_used_elsewhere_is_logged_out_once(phone: Phone) -> None:
    """A copy of the token ends the session; the phone forgets it and does not ask again."""
    copied = phone.kept()
    phone.do("call 1")
    phone.stop()
    phone.file.write_text(json.dumps(copied))  # as a backup that was played back
    phone.start()
    answers, keys = phone.do("call 2")
    assert (answers, len(keys)) == (["ended"] * 2, 1)
    assert phone.kept() is None
    assert phone.do("call 1") == (["ended"], [])


def test_phone_takes_no_proxys_answer_for_the_servers(phone: Phone) -> None:
    """A hotel's network answers 401 too; the session is there afterwards, and so is the key."""
    phone.do("fault proxy")
    (answer,), keys = phone.do("call 1")
    assert "401" in answer
    assert phone.kept()["pendingKey"] == keys[0]
    phone.do("fault none")
    assert phone.do("call 1") == ([200], keys)


def test_phone_handed_on_sends_no_request_as_the_next_user(phone: Phone, stage: Stage) -> None:
    """What the former user asked for waits for the log-in, and is given up then."""
    assert phone.do("call 1")[0] == [200]
    phone.do("logout")
    (_, answer), _ = phone.do(f"hand {stage.make_user()} {PASSWORD}")
    assert answer == "AbortError: Another user has logged in."


def test_phone_that_logs_out_keeps_nothing(phone: Phone) -> None:
    """The session ends at the server, and the file is empty."""
    before = phone.file.read_text()
    assert phone.do("logout") == (None, [])
    assert phone.kept() is None
    phone.stop()
    phone.file.write_text(before)
    phone.start()
    assert phone.do("call 1")[0] == ["ended"]
