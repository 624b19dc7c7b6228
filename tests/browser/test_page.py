"""The example's page, by a person's steps, in a real browser against a live server over HTTPS."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import DESKTOP, PHONE, Meet
from tests.browser.devices import heard, wait_until
from tests.browser.engines import ENGINE
from tests.live.length import LONG
from tests.live.site import PASSWORD, ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.devices import Stage

pytestmark = [pytest.mark.browser, pytest.mark.live, pytest.mark.example]

#: The browser's, as the list of sessions has it.
NAME = {"chromium": "HeadlessChrome", "firefox": "Firefox", "webkit": "Safari"}[ENGINE]
#: Each size and each scheme, before the rest of the pairs.
LOOKS = [(PHONE, "dark"), (DESKTOP, "light"), (PHONE, "light"), (DESKTOP, "dark")]
NEW_PASSWORD = "a battery of correct horses"


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Where the pictures go, for somebody to look at."""
    folder = ROOT / ".test-results" / "page"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.parametrize(("size", "scheme"), LOOKS if LONG else LOOKS[:2])
def test_person_goes_through_the_whole_page(
    meet: Meet, name: str, pictures: Path, size: tuple[int, int], scheme: str
) -> None:
    """Log in, look, call, refresh, end a session, change the password, leave: all accessible."""
    label = f"{size[0]}-{scheme}"
    meet().open().log_in(name)  # somewhere else
    view = meet(size, scheme).open()
    view.says("Not logged in.")
    view.is_well_set()
    view.picture(pictures, f"{label}-out")
    view.log_in(name, "wrong")
    view.page.get_by_text("The user name or the password is wrong.").wait_for()
    view.is_well_set()
    view.picture(pictures, f"{label}-wrong")
    view.log_in(name)
    view.is_in(name)
    view.focuses(f"Logged in as {name}")
    call_all(view, name)
    refresh(view)
    view.is_well_set()
    view.picture(pictures, f"{label}-in")
    end_other_session(view)
    change_password(view)
    view.is_well_set()
    view.press("Log out everywhere")
    view.says("Logged out on every device.")
    view.focuses("The life of a session")
    view.is_well_set()


def call_all(view: Any, name: str) -> None:
    """The token opens what it is for, and the page says what it does not open."""
    answers = {
        "api/hello/": re.compile(f'^200 {{"hello":"{name}"}}$'),
        "api/tenant/": re.compile('^200 {"tenant":"acme"}$'),
        "api/admin/metrics/": re.compile(
            r"^403 role_required refused by AdminOnly: This requires the role admin\.$"
        ),
    }
    for path, answer in answers.items():
        view.press(f"Call {path}")
        view.page.get_by_label(f"Answer of {path}").get_by_text(answer).wait_for()
        text = view.page.get_by_label(f"Answer of {path}").inner_text()
        assert answer.match(text)


def refresh(view: Any) -> None:
    """Another token of the same session, and a full lifetime."""
    claims = view.page.locator("#claims")
    before = claims.inner_text()
    view.press("Refresh now")
    view.says("Refreshed: a new access token and a new cookie.")
    after = claims.inner_text()
    jti, sid = (re.compile(rf"^{claim}\s+(\S+)$", re.MULTILINE) for claim in ("jti", "sid"))
    assert jti.findall(before) != jti.findall(after)
    assert sid.findall(before) == sid.findall(after) != []
    assert re.fullmatch(r"in 1[0-5]:\d\d", view.page.get_by_role("timer").inner_text())


def end_other_session(view: Any) -> None:
    """This device is named, another one has a button, and the focus stays near."""
    from playwright.sync_api import expect

    sessions = view.page.locator("#sessions li")
    expect(sessions).to_have_count(2)
    view.page.get_by_role("button", name=re.compile(f"^End the session: {NAME} on Linux")).click()
    view.says(re.compile(f"^Ended: {NAME} on Linux"))
    expect(sessions).to_have_text([re.compile(f"^{NAME} on Linux")])
    view.focuses("Open sessions")


def change_password(view: Any) -> None:
    """What the server has against it stands at the field, is read out and has the focus."""
    view.fill("Current password", "wrong")
    view.fill("New password", NEW_PASSWORD)
    view.press("Change the password")
    assert complaint(view, "Current password") == "The old password is not correct."
    view.fill("Current password", PASSWORD)
    view.fill("New password", "1234")
    view.press("Change the password")
    said = complaint(view, "New password")
    assert "This password is too short." in said
    assert "This password is entirely numeric." in said
    view.is_well_set()
    view.fill("New password", NEW_PASSWORD)
    view.press("Change the password")
    view.says("The password is changed. Every other session has ended.")
    assert view.page.get_by_label("New password", exact=True).input_value() == ""


def complaint(view: Any, label: str) -> str:
    """What a screen reader says of the wrong field, once it has the focus."""
    wrong = view.page.locator("input[aria-invalid]:focus")
    wrong.wait_for()
    assert wrong.evaluate("field => field.labels[0].textContent") == label
    described = (
        "field => document.getElementById(field.getAttribute('aria-describedby')).textContent"
    )
    return str(wrong.evaluate(described))


def test_administrator_sees_the_keys_timeline(meet: Meet, name: str, stage: Stage) -> None:
    """Which key signs, which one will, and when; everybody else sees their names only."""
    view, other = meet(PHONE).open(), meet().open()
    admin = stage.make_user(groups=("admin",))
    for one, user in ((view, admin), (other, name)):
        one.log_in(user)
        one.is_in(user)
    ours, theirs = (one.page.locator("#keys li").all_inner_texts() for one in (view, other))
    signing = r"ES256 · signs · rotation due \d+ \w+ \d{4}"
    assert len([key for key in ours if re.search(signing, key)]) == 1
    assert all(re.fullmatch(r"[\w-]{43}\s+ES256", key) for key in theirs)
    stage.site.manage("rotate_keys")
    view.page.reload()
    view.is_in(admin)
    assert "published, does not sign yet" in view.page.locator("#keys").inner_text()
    view.is_well_set()


def test_reload_needs_no_password(meet: Meet, name: str) -> None:
    """The session is found by its cookie, and the focus is left alone."""
    view = meet().open()
    view.log_in(name)
    view.is_in(name)
    view.page.reload()
    view.is_in(name)
    view.says("Logged in by this browser's session.")
    assert view.page.evaluate("document.activeElement === document.body")


def test_logout_reaches_the_other_tab_at_once(meet: Meet, name: str) -> None:
    """In words, with the focus at the log-in, and nothing of the user left in the page.

    At once: no time passes on the page's clock.
    """
    person = meet()
    person.stop_clock()
    here, there = person.open(), person.open()
    here.log_in(name)
    here.is_in(name)
    there.is_in(name)
    there.page.get_by_role("button", name="Look again").focus()
    here.press("Log out")
    there.says("You have logged out in another tab.")
    here.says("Logged out.")
    there.focuses("The life of a session")
    assert name not in there.page.content()


def test_log_in_reaches_the_other_tab(meet: Meet, name: str) -> None:
    """One browser, one session."""
    person = meet()
    here, there = person.open(), person.open()
    there.says("Not logged in.")
    here.log_in(name)
    there.is_in(name)


def test_session_ended_elsewhere_is_told_in_words(meet: Meet, name: str) -> None:
    """The next request finds out; that it was refused itself is no news beside that."""
    view, other = meet().open(), meet().open()
    for one in (view, other):
        one.log_in(name)
        one.is_in(name)
    other.press("Log out everywhere")
    other.says("Logged out on every device.")
    view.press("Look again")
    view.says(re.compile("^The session was ended: from another device"))
    view.page.wait_for_load_state("networkidle")
    view.says(re.compile("^The session was ended: from another device"))


def test_page_works_by_keyboard_alone(meet: Meet, name: str) -> None:
    """From the first field to the log-out button, in the order of the page."""
    view = meet().open()
    view.says("Not logged in.")
    keyboard = view.page.keyboard
    keyboard.press("Tab")
    keyboard.type(name)
    keyboard.press("Tab")
    keyboard.type(PASSWORD)
    keyboard.press("Enter")
    view.is_in(name)
    keyboard.press("Tab")
    view.focuses("Refresh now")
    keyboard.press("Enter")
    view.says("Refreshed: a new access token and a new cookie.")
    keyboard.press("Shift+Tab")
    view.focuses("Log out")
    keyboard.press("Enter")
    view.says("Logged out.")


def test_network_that_is_away_is_told_and_costs_nothing(meet: Meet, name: str) -> None:
    """Also before there is a session; once it is back, everything goes on."""
    person = meet()
    view = person.open()
    view.says("Not logged in.")
    person.context.set_offline(True)
    view.says("Offline. The session waits for the network.")
    view.log_in(name)
    view.page.get_by_text("The server can't be reached.").wait_for()
    view.is_well_set()
    person.context.set_offline(False)
    view.log_in(name)
    view.is_in(name)
    person.context.set_offline(True)
    view.press("Call api/hello/")
    view.page.get_by_label("Answer of api/hello/").get_by_text("can't be reached").wait_for()
    person.context.set_offline(False)
    view.press("Call api/hello/")
    view.page.get_by_label("Answer of api/hello/").get_by_text("200").wait_for()


def test_no_token_is_ever_in_the_document(meet: Meet, name: str) -> None:
    """Nor a password after the form was sent: not in what is shown, hidden or typed in."""
    view = meet().open()
    tokens: list[str] = []
    view.page.on("request", lambda r: tokens.append(r.headers.get("authorization", "")))
    view.log_in(name)
    view.is_in(name)
    view.press("Refresh now")
    view.says("Refreshed: a new access token and a new cookie.")
    view.press("Call api/hello/")
    view.page.get_by_label("Answer of api/hello/").get_by_text("200").wait_for()
    values = "[...document.querySelectorAll('input')].map((input) => input.value).join()"
    document = view.page.content() + view.page.evaluate(values)
    sent = {token.removeprefix("Bearer ") for token in tokens} - {""}
    assert len(sent) > 1
    assert not any(part in document for token in sent for part in token.split("."))
    assert PASSWORD not in document


INJECTIONS = {
    "document.body.innerHTML = '<p>'": "TrustedHTML",
    "document.body.setAttribute('onclick', 'alert()')": "TrustedScript",
    "document.createElement('script').text = 'alert()'": "TrustedScript",
}


def test_injected_markup_and_style_do_nothing(stage: Stage, browser: Browser, axe: str) -> None:
    """The policy holds, and the watch of the other tests sees it when something is refused."""
    from tests.browser.person import Person

    person = Person.meet(browser, stage.server.address, axe, DESKTOP)
    view = person.open()
    for injection, wanted in INJECTIONS.items():
        with pytest.raises(Exception, match=f"{wanted}|Sink type mismatch violation"):
            view.page.evaluate(injection)
    view.page.evaluate("document.body.setAttribute('style', 'width: 77px')")
    assert view.page.evaluate("getComputedStyle(document.body).width") != "77px"
    expected = {"require-trusted-types-for": len(INJECTIONS), "style-src-attr": 1}

    def refused() -> Counter[str]:
        prefix = "The policy has refused "
        told = (error for error in person.errors if error.startswith(prefix))
        return Counter(error.removeprefix(prefix) for error in told)

    wait_until(lambda: refused() == expected, "a refusal was not told", view.page)
    person.context.close()


def test_page_works_below_a_prefix(meet: Meet, name: str, prefixed: str) -> None:
    """FORCE_SCRIPT_NAME is in every path: files, API and cookie."""
    view = meet(address=prefixed).open()
    view.log_in(name)
    view.is_in(name)
    call_all(view, name)
    view.page.reload()
    view.is_in(name)


def test_too_many_attempts_are_told_with_the_wait(meet: Meet, name: str, prefixed: str) -> None:
    """How long still, on and on for the eyes and once for the ears; until then nothing is sent."""
    person = meet(PHONE, address=prefixed)
    person.context.clock.install()
    view = person.open()
    view.says("Not logged in.")
    alert = view.page.locator("#login-error")
    for said in [*["The user name or the password is wrong."] * 3, "Too many attempts."]:
        view.log_in(name, "wrong")
        view.page.locator("#login[aria-busy=false]").get_by_text(said).wait_for()
    view.is_well_set()
    running = alert.locator("[aria-hidden=true]")
    first = running.inner_text()
    sent = heard(view.page, "request")
    view.log_in(name)
    person.context.clock.run_for("02:00")
    view.changes(running, first)
    told = alert.locator(".visually-hidden").text_content()
    assert re.fullmatch(r"1 h 0 min|5\d min", str(told))
    assert sent == []


def test_admin_of_django_still_works(meet: Meet, stage: Stage) -> None:
    """Its own scripts and styles are not refused by the page's policy."""
    person = meet()
    page = person.context.new_page()
    page.goto(stage.server.address + "/admin/login/")
    page.get_by_label("Username:").wait_for()
