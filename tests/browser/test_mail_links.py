"""Mails as a person gets them: from a real mail server, and their links opened in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import PHONE, Meet
from tests.browser.devices import heard, wait_until
from tests.browser.test_page import NEW_PASSWORD, complaint
from tests.live.site import PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Route

    from tests.browser.devices import Stage
    from tests.browser.person import View
    from tests.mailbox import Mail, Mailbox

pytestmark = [pytest.mark.browser, pytest.mark.live, pytest.mark.example]

SENT = "If an account has this address, a mail with a link is on its way."
CHANGED = "The password is changed, and every session of the account has ended. Log in with it."
REFUSED = "The link has expired or has been used. Nothing was changed."
#: All that a page could keep of a token: its address, its document, what was typed in, its storage.
KEPT = """[
  location.href, document.documentElement.outerHTML, JSON.stringify({ ...localStorage }),
  JSON.stringify({ ...sessionStorage }), JSON.stringify(history.state),
  ...[...document.querySelectorAll("input")].map((input) => input.value),
].join()"""

AskFor = Callable[..., "Mail"]


@pytest.fixture
def ask(meet: Meet, mailbox: Mailbox) -> AskFor:
    """Ask for a new password on the page, as somebody who has no session; give the mail."""

    def ask_for(name: str) -> Mail:
        view = meet(PHONE).open()
        view.press("Forgot your password?")
        view.focuses("Forgot your password?")
        view.fill("Email address", address_of(name))
        view.is_well_set()
        view.press("Send the link")
        view.says(SENT)
        view.focuses("Forgot your password?")  # the button, as before
        view.page.close()
        return mail_of(mailbox, name, "reset")

    return ask_for


def address_of(name: str) -> str:
    """The address of one of the stage's users."""
    return f"{name}@example.test"


def mail_of(mailbox: Mailbox, name: str, purpose: str) -> Mail:
    """Wait for a user's mail whose link is for that."""

    def found() -> list[Mail]:
        return [mail for mail in mailbox.to(address_of(name)) if f"#{purpose}=" in mail.link]

    wait_until(found, "no mail has come")
    return found()[-1]


def follow(view: View, link: str, heading: str) -> str:
    """Open the link in the view's tab; give its token, of which nothing is left in the page."""
    view.page.goto("about:blank")  # otherwise only the fragment would change
    view.page.goto(link)
    view.focuses(heading)
    token = link.rpartition("=")[2]
    assert view.page.url == link.partition("#")[0]
    assert token not in view.page.evaluate(KEPT)
    return token


def set_password(view: View, password: str) -> None:
    """Fill the form in and send it."""
    view.fill("Your new password", password)
    view.press("Set the password")


def refusal(view: View, form: str = "reset") -> str:
    """Wait until the form says why not."""
    error = view.page.locator(f"#{form}-error")
    view.changes(error, "")
    return error.inner_text()


def test_forgotten_password_is_set_by_the_link(
    meet: Meet, name: str, ask: AskFor, stage: Stage
) -> None:
    """Old sessions end, in this browser's other tab and elsewhere; the link works only once."""
    person = meet()
    tab, elsewhere = person.open(), meet().open()
    for one in (tab, elsewhere):
        one.log_in(name)
        one.is_in(name)
    mail = ask(name)
    assert mail.link.startswith(f"{stage.server.address}/#reset=")
    view = person.open()
    view.is_in(name)
    follow(view, mail.link, "Choose a new password")
    set_password(view, "1234")
    assert "This password is entirely numeric." in complaint(view, "Your new password")
    set_password(view, NEW_PASSWORD)
    view.says(CHANGED)
    view.focuses("The life of a session")
    tab.says(re.compile("^The session was ended: from another device, by a new password"))
    assert name not in tab.page.content()
    elsewhere.press("Look again")
    elsewhere.says(re.compile("^The session was ended: from another device, by a new password"))
    view.log_in(name, PASSWORD)
    view.page.get_by_text("The user name or the password is wrong.").wait_for()
    view.log_in(name, NEW_PASSWORD)
    view.is_in(name)
    follow(view, mail.link, "Choose a new password")
    set_password(view, PASSWORD)
    assert refusal(view) == REFUSED
    view.is_well_set()
    view.press("Ask for another link")
    view.focuses("Forgot your password?")
    view.press("Back")
    view.focuses(f"Logged in as {name}")


def test_unknown_address_is_answered_like_a_known_one(meet: Meet) -> None:
    """In the same words, in the same place."""
    view = meet().open()
    view.press("Forgot your password?")
    view.fill("Email address", "nobody@example.test")
    view.press("Send the link")
    view.says(SENT)
    view.focuses("Forgot your password?")


def test_text_that_is_no_address_is_told_at_its_field(meet: Meet) -> None:
    """By the server, where the browser lets it pass."""
    view = meet().open()
    view.press("Forgot your password?")
    view.fill("Email address", "nobody@example")  # enough for a browser
    view.press("Send the link")
    assert complaint(view, "Email address") == "Enter a valid email address."


def test_reset_leaves_another_users_session(
    meet: Meet, name: str, ask: AskFor, stage: Stage
) -> None:
    """Whoever opens the link in a browser of theirs stays logged in there."""
    other = stage.make_user()
    view = meet().open()
    view.log_in(other)
    view.is_in(other)
    follow(view, ask(name).link, "Choose a new password")
    refreshed = heard(view.page, "response")
    set_password(view, NEW_PASSWORD)
    view.focuses(f"Logged in as {other}")
    view.says("Refreshed: a new access token and a new cookie.")
    # More than one if the page's own refresh was still on its way.
    assert {answer.status for answer in refreshed if answer.url.endswith("/refresh/")} == {200}
    view.is_in(other)


def test_scanner_uses_nothing_up(
    meet: Meet, name: str, ask: AskFor, stage: Stage, mailbox: Mailbox
) -> None:
    """It reads the link, or even opens it in a browser and waits until nothing happens any more."""
    view = meet().open()
    view.log_in(name)
    view.is_in(name)
    view.press("Send the mail")
    view.says("The mail is on its way.")
    confirmation = mail_of(mailbox, name, "confirm")
    reset = ask(name)
    for mail, heading in ((confirmation, "Confirm your address"), (reset, "Choose a new password")):
        scan(meet, mail.link, stage)
        view.page.goto(mail.link)
        view.focuses(heading)
        view.is_well_set()
        if mail is confirmation:
            view.press("Confirm this address")
            view.says("The address is confirmed.")
            follow(view, mail.link, heading)
            view.press("Confirm this address")
            assert refusal(view, "confirm") == REFUSED
        else:
            set_password(view, NEW_PASSWORD)
            view.says(CHANGED)


def scan(meet: Meet, link: str, stage: Stage) -> None:
    """Get the link, and open it in a browser without touching anything."""
    with stage.server.session() as client:
        client.get(link.removeprefix(stage.server.address)).raise_for_status()
    person = meet()
    page = person.context.new_page()
    sent: list[Any] = heard(page, "request")
    page.goto(link, wait_until="networkidle")
    # The page itself asks whether there is a session.
    assert {request.url for request in sent if request.method != "GET"} <= {
        f"{stage.server.address}/api/auth/refresh/"
    }
    page.close()


def test_link_that_two_pages_use_at_once_works_for_one(
    meet: Meet, name: str, ask: AskFor, stage: Stage
) -> None:
    """The other page says that the link has been used."""
    link = ask(name).link
    passwords = {meet().open(): NEW_PASSWORD, meet().open(): NEW_PASSWORD[::-1]}
    with stage.stalling("confirm"):
        for view, password in passwords.items():
            follow(view, link, "Choose a new password")
            set_password(view, password)
            view.page.locator("#reset[aria-busy=true]").wait_for()
    for view in passwords:
        view.page.locator("#reset[aria-busy=false]").wait_for(state="attached")
    [winner] = [view for view in passwords if not view.page.locator("#reset").is_visible()]
    [loser] = passwords.keys() - {winner}
    winner.says(CHANGED)
    assert refusal(loser) == REFUSED
    winner.log_in(name, passwords[loser])
    winner.page.get_by_text("The user name or the password is wrong.").wait_for()
    winner.log_in(name, passwords[winner])
    winner.is_in(name)


@pytest.mark.chromium
def test_lost_answer_of_a_reset_is_explained(meet: Meet, name: str, ask: AskFor) -> None:
    """The second try says that the first one has most likely set the password."""
    view = meet().open()
    follow(view, ask(name).link, "Choose a new password")
    lost: list[int] = []

    def lose(route: Route) -> None:
        lost.append(route.fetch().status)
        route.abort("internetdisconnected")

    pattern = "**/password/reset/confirm/"
    view.page.route(pattern, lose)
    set_password(view, NEW_PASSWORD)
    assert "The server can't be reached. Nothing is lost" in refusal(view)
    assert lost == [204]
    view.page.unroute(pattern)
    view.press("Set the password")
    view.says(re.compile("^An answer was lost, and the link has been used: most likely your new"))
    view.log_in(name, NEW_PASSWORD)
    view.is_in(name)
