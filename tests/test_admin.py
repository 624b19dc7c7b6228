"""Sessions in the admin: to look at and to end."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.utils import get_deleted_objects
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import Permission
from django.core.exceptions import FieldError
from django.db import connection, models
from django.test import Client as Browser
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, reverse
from django.utils.html import escape

from jwt_auth.admin.sessions import names_of
from jwt_auth.flows import Issued
from jwt_auth.models import Client, RefreshTokenFamily
from tests.conftest import MakeUser
from tests.flows.scene import log_in, refresh, row_of
from tests.http.conftest import log  # noqa: F401  a fixture
from tests.users.models import Person, StringKeyUser

pytestmark = [pytest.mark.sql, pytest.mark.user_model, pytest.mark.smoke]

LIST = "/admin/jwt_auth/refreshtokenfamily/"
SOMEWHERE = Client(ip_address="192.0.2.1", user_agent="<b>Firefox</b>")

#: A user model without permissions knows only staff, who may do everything.
has_permissions = pytest.mark.skipif(
    "not hasattr(__import__('django.contrib.auth').contrib.auth.get_user_model(),"
    " 'user_permissions')",
    reason="the user model has no permissions",
)


@pytest.fixture
def issued(user: AbstractBaseUser) -> Issued:
    """A session of Alice's that has been refreshed once."""
    return refresh(log_in(user, client=SOMEWHERE), key="key", client=SOMEWHERE)


def _browser(make_user: MakeUser, *permissions: str, **fields: Any) -> Browser:
    staff: Any = make_user("staff", is_staff=True, **fields)
    for permission in permissions:
        label, codename = permission.split(".")
        staff.user_permissions.add(
            Permission.objects.get(content_type__app_label=label, codename=codename)
        )
    browser = Browser(REMOTE_ADDR="192.0.2.99")
    browser.force_login(staff)
    return browser


@pytest.fixture
def administrator(make_user: MakeUser) -> Browser:
    """The browser of somebody who may do everything."""
    everything = {"is_superuser": True} if hasattr(get_user_model(), "user_permissions") else {}
    return _browser(make_user, **everything)


def test_pages_and_reports_are_in_the_language_of_the_request(
    administrator: Browser, issued: Issued
) -> None:
    """Headings, filters, reasons, actions and what an action has done."""
    german = {"Accept-Language": "de"}
    session = row_of(issued)
    page = administrator.get(LIST, secure=True, headers=german).content.decode()
    data = {"action": "end_sessions", "_selected_action": [str(session.pk)]}
    report = administrator.post(LIST, data, secure=True, follow=True, headers=german)
    for text in ("JWT-Sitzungen", "Status", "aktiv bis", "Ausgewählte Sitzungen beenden"):
        assert text in page
    for text in ("1 Sitzung wurde beendet.", "von einem Administrator beendet"):
        assert text in report.content.decode()


def _act(browser: Browser, action: str, *sessions: RefreshTokenFamily) -> Any:
    data = {"action": action, "_selected_action": [str(session.pk) for session in sessions]}
    return browser.post(LIST, data, secure=True, follow=True)


def test_pages_show_the_session_and_no_secret(
    administrator: Browser, issued: Issued, user: AbstractBaseUser
) -> None:
    """List, search and detail; digests, nonces and retry keys are on none of them."""
    family = RefreshTokenFamily.objects.get()
    secrets = [
        family.current_digest,
        family.rotation_nonce,
        family.recent_rotations[0][1],
        issued.refresh_token.text,
        issued.access_token.text,
    ]
    for url in (LIST, f"{LIST}?q={family.pk}", f"{LIST}?q=192.0.2.1", f"{LIST}{family.pk}/change/"):
        answer = administrator.get(url, secure=True)
        assert answer.status_code == 200
        page = answer.content.decode().replace("<wbr>", "")
        assert str(family.pk) in page
        assert user.get_username() in page
        assert not [secret for secret in [*secrets, "<b>Firefox"] if secret in page]


@pytest.mark.parametrize(
    "lookup",
    [
        "current_digest__startswith",
        "rotation_nonce",
        "rotation_nonce__gt",
        "recent_rotations__0__1__startswith",
        "recent_rotations__contains",
        "token_version",
        "user__password__startswith",
        "user__refresh_token_families__rotation_nonce__startswith",
    ],
)
def test_secret_is_no_filter(administrator: Browser, issued: Issued, lookup: str) -> None:
    """Who may look at sessions could else ask for a nonce, one character after another."""
    family = RefreshTokenFamily.objects.get()
    for value in (family.current_digest[:1], family.rotation_nonce[:1], "x"):
        assert administrator.get(LIST, {lookup: value}, secure=True).status_code == 400


def test_secret_of_a_session_is_no_filter_of_users(
    administrator: Browser, issued: Issued, user: AbstractBaseUser
) -> None:
    """The admin of the users reaches sessions by their relation."""
    options = user._meta
    if not admin.site.is_registered(type(user)):
        pytest.skip("this user model has no page in the admin")
    url = reverse(f"admin:{options.app_label}_{options.model_name}_changelist")
    lookup = {"refresh_token_families__rotation_nonce__startswith": "a"}
    assert administrator.get(url, lookup, secure=True).status_code == 400


def test_secret_is_no_order(administrator: Browser, issued: Issued) -> None:
    """The list is sorted by its columns only; what else is asked for is passed over."""
    for order in ("rotation_nonce", "-current_digest", "7"):
        assert administrator.get(LIST, {"o": order}, secure=True).status_code == 200


@pytest.mark.parametrize(
    "lookup", ["revocation_reason__exact", "created_at__gte", "user__exact", "user_id", "pk"]
)
def test_what_is_shown_is_a_filter(
    administrator: Browser, issued: Issued, user: AbstractBaseUser, lookup: str
) -> None:
    """Links in the admin and in a project's own pages go on working."""
    values = {
        "created_at__gte": "2020-01-01 00:00:00+00:00",
        "revocation_reason__exact": "",
        "pk": str(issued.family.pk),
    }
    answer = administrator.get(LIST, {lookup: values.get(lookup, str(user.pk))}, secure=True)
    assert str(issued.family.pk) in answer.content.decode()


def _found(browser: Browser, **query: str) -> set[Any]:
    answer = browser.get(LIST, query, secure=True)
    assert answer.status_code == 200
    return {session.pk for session in answer.context["cl"].result_list}


@pytest.mark.parametrize("spelling", [str, str.upper, lambda name: f" {name[1:4]} "])
def test_search_finds_a_users_sessions(
    administrator: Browser, make_user: MakeUser, issued: Issued, spelling: Callable[[str], str]
) -> None:
    """By a part of the user name or of the e-mail address, in any case; no other user's."""
    bob: Any = make_user("bobette")
    bob.email = "rob@example.test"
    bob.save()
    bobs = {log_in(bob).family.pk, log_in(bob).family.pk}
    assert _found(administrator, q=spelling("rob@")) == bobs
    assert _found(administrator, q=spelling(bob.get_username())) == bobs


@pytest.mark.example  # with some user models, the address is the name
@pytest.mark.parametrize("may", ["", "view", "change"])
def test_email_addresses_are_found_by_staff_who_may_see_users(
    may: str, make_user: MakeUser
) -> None:
    """Others could guess an address, part by part."""
    bob: Any = make_user("bobette")
    bob.email = "rob@example.test"
    bob.save()
    session = log_in(bob).family.pk
    users = get_user_model()._meta
    names = [f"{users.app_label}.{may}_{users.model_name}"] if may else []
    browser = _browser(make_user, "jwt_auth.view_refreshtokenfamily", *names)
    assert _found(browser, q="bobette") == {session}
    assert _found(browser, q="rob@") == ({session} if may else set())


@pytest.mark.parametrize(
    "term", ["nonsense", "-", "192.0.2.2", "0c0ffee0-0000-4000-8000-000000000000", "%", "_"]
)
def test_search_for_nonsense_finds_nothing(
    administrator: Browser, issued: Issued, term: str
) -> None:
    """A term that is no name, no id and no address of a session is no error either."""
    assert _found(administrator, q=term) == set()


def test_search_for_spaces_finds_everything(administrator: Browser, issued: Issued) -> None:
    """They are no term."""
    assert _found(administrator, q="  ") == {issued.family.pk}


class SealedField(models.TextField):  # type: ignore[type-arg]  # not at run time
    """Refuses lookups, as fields that encrypt do."""

    def get_lookup(self, lookup_name: str) -> Any:
        """Refuse."""
        raise FieldError(lookup_name)


class Nameless(AbstractBaseUser):
    """Users with a number, and with an address that no statement can read."""

    number = models.IntegerField(unique=True)
    address = SealedField()
    USERNAME_FIELD = "number"
    EMAIL_FIELD = "address"

    class Meta:
        abstract = True
        app_label = "users"


class Addressless(Nameless):
    """Users without an e-mail address, whose user name is another row."""

    boss = models.OneToOneField("self", models.CASCADE)
    USERNAME_FIELD = "boss"
    EMAIL_FIELD = "email"

    class Meta:
        abstract = True
        app_label = "users"


@pytest.mark.parametrize(
    ("user_model", "names"),
    [(Person, ["email"]), (StringKeyUser, ["name", "email"]), (Nameless, ["number"])],
)
def test_odd_user_model_is_searched_by_what_it_has(user_model: Any, names: list[str]) -> None:
    """The address may be the name, be encrypted, or be missing."""
    assert names_of(user_model) == names


def test_user_model_without_a_searchable_name_finds_no_session(
    administrator: Browser, issued: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than every session."""
    assert names_of(Addressless) == []
    monkeypatch.setattr("jwt_auth.admin.sessions.names_of", lambda _: names_of(Addressless))
    assert _found(administrator, q="alice") == set()
    assert _found(administrator, q=" ") == {issued.family.pk}
    assert _found(administrator, q=str(issued.family.pk)) == {issued.family.pk}


def test_filter_lists_live_or_ended_sessions(
    administrator: Browser, issued: Issued, user: AbstractBaseUser
) -> None:
    """Ended are those that were revoked, and those that have expired."""
    revoked, expired = log_in(user).family, log_in(user).family
    now = datetime.now(UTC)
    RefreshTokenFamily.objects.filter(pk=revoked.pk).update(revoked_at=now)
    RefreshTokenFamily.objects.filter(pk=expired.pk).update(expires_at=now)
    assert _found(administrator, state="live") == {issued.family.pk}
    assert _found(administrator, state="ended") == {revoked.pk, expired.pk}
    assert len(_found(administrator)) == len(_found(administrator, state="x")) == 3
    assert _found(administrator, state="live", q="192.0.2.1") == {issued.family.pk}
    assert _found(administrator, state="ended", q="192.0.2.1") == set()


def _column(browser: Browser, name: str) -> str:
    page = browser.get(LIST, secure=True).content.decode()
    [cell] = re.findall(rf'<t[dh] class="field-{name}">(.*?)</t[dh]>', page)
    return str(cell).replace("<wbr>", "")


def test_list_says_until_when_or_why_not(administrator: Browser, issued: Issued) -> None:
    """In words, with the date."""
    sessions, noon = RefreshTokenFamily.objects, datetime(2026, 1, 2, 12, tzinfo=UTC)
    assert _column(administrator, "state").startswith("live until<br>")
    sessions.update(expires_at=noon)
    assert _column(administrator, "state") == "expired<br>01/02/2026<br>noon"
    sessions.update(revoked_at=noon, revocation_reason="logout_all")
    assert _column(administrator, "state") == "logged out everywhere<br>01/02/2026<br>noon"


MOZILLA = "Mozilla/5.0 (%s) AppleWebKit/537.36 (KHTML, like Gecko) "


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (MOZILLA % "X11; Linux x86_64" + "Chrome/140.0.0.0 Safari/537.36", "Chrome on Linux"),
        (MOZILLA % "Windows NT 10.0" + "Chrome/140 Safari/537 Edg/140.0.0.0", "Edge on Windows"),
        (MOZILLA % "iPhone; like Mac OS X" + "Version/18.6 Safari/604.1", "Safari on iPhone"),
        ("Firefox/140.0", "Firefox"),
        ("curl/8.14.1", "curl"),
        ("<script>", "&lt;script&gt;"),
        ("x" * 200, "x" * 39 + "…"),
        ("", "-"),
    ],
)
def test_list_names_the_device(
    administrator: Browser, issued: Issued, user_agent: str, name: str
) -> None:
    """In a few words, with the whole user agent to hover; a client can send anything."""
    RefreshTokenFamily.objects.update(user_agent=user_agent)
    title = f'<span title="{escape(user_agent)}">'
    assert _column(administrator, "client") == f"{title}{name}</span><br>192.0.2.1"


def test_more_sessions_need_no_more_queries(
    administrator: Browser, make_user: MakeUser, django_assert_num_queries: Any
) -> None:
    """The users are read with their sessions."""
    log_in(make_user("one"))
    with CaptureQueriesContext(connection) as queries:
        _found(administrator)
    for number in range(3):
        log_in(make_user(f"other{number}"))
    with django_assert_num_queries(len(queries)):
        assert len(_found(administrator)) == 4


def test_action_ends_the_selected_session_only(
    administrator: Browser, issued: Issued, user: AbstractBaseUser
) -> None:
    """Its tokens are refused; the row says who did it and from where."""
    other = log_in(user)
    page = _act(administrator, "end_sessions", issued.family)
    assert "1 session was ended." in page.content.decode()
    ended = row_of(issued)
    assert (ended.revocation_reason, ended.revoked_by_ip) == ("administrator", "192.0.2.99")
    assert row_of(other).revoked_at is None


def test_action_ends_all_sessions_of_the_user(
    administrator: Browser, issued: Issued, user: AbstractBaseUser, make_user: MakeUser
) -> None:
    """Those that were not selected too, and nobody else's."""
    log_in(user)
    bobs = log_in(make_user("bob")).family
    page = _act(administrator, "end_all_sessions_of_users", issued.family)
    assert "2 sessions were ended." in page.content.decode()
    assert list(RefreshTokenFamily.objects.live(datetime.now(UTC))) == [bobs]


def test_nothing_can_be_added_or_changed(administrator: Browser, issued: Issued) -> None:
    """A session is ended, never edited, and no action deletes a list of them."""
    page = f"{LIST}{issued.family.pk}"
    before = RefreshTokenFamily.objects.values().get()
    assert administrator.get(f"{LIST}add/", secure=True).status_code == 403
    data = {"expires_at_0": "2099-01-01", "expires_at_1": "00:00:00"}
    assert administrator.post(f"{page}/change/", data, secure=True).status_code == 403
    assert b"delete_selected" not in administrator.get(LIST, secure=True).content
    _act(administrator, "delete_selected", issued.family)
    assert RefreshTokenFamily.objects.values().get() == before


def test_session_that_is_deleted_is_ended_first(
    administrator: Browser,
    issued: Issued,
    log: pytest.LogCaptureFixture,  # noqa: F811
) -> None:
    """Whoever keeps a copy of what is revoked, and the log, hears of it."""
    url = f"{LIST}{issued.family.pk}/delete/"
    assert administrator.post(url, {"post": "yes"}, secure=True).status_code == 302
    assert not RefreshTokenFamily.objects.exists()
    (record,) = (record for record in log.records if record.msg == "%s %s")
    assert record.jwt_auth["event"] == "session_ended"  # type: ignore[attr-defined]
    assert record.jwt_auth["session_ids"] == [str(issued.family.pk)]  # type: ignore[attr-defined]


@has_permissions
@pytest.mark.parametrize(
    ("permissions", "status", "may_end"),
    [([], 403, False), (["view"], 200, False), (["view", "change"], 200, True)],
)
def test_staff_see_and_end_sessions_by_permission(
    permissions: list[str], status: int, may_end: bool, make_user: MakeUser, issued: Issued
) -> None:
    """Whoever may not end one is offered no action, and one that is sent does nothing."""
    names = [f"jwt_auth.{may}_refreshtokenfamily" for may in permissions]
    browser = _browser(make_user, *names)
    page = browser.get(LIST, secure=True)
    assert page.status_code == status
    for action in ("end_sessions", "end_all_sessions_of_users"):
        assert (action in page.content.decode()) is may_end
        _act(browser, action, issued.family)
        assert (row_of(issued).revoked_at is not None) is may_end


@has_permissions
@pytest.mark.parametrize("may", [True, False])
def test_user_with_sessions_is_deleted_by_who_may_delete_users(
    may: bool, make_user: MakeUser, issued: Issued, user: AbstractBaseUser
) -> None:
    """The sessions stand in nobody's way: permission to delete users is enough, and needed."""
    users = get_user_model()._meta
    names = [f"{users.app_label}.delete_{users.model_name}"] if may else []
    browser = _browser(make_user, *names)
    request = RequestFactory().get("/")
    request.user = browser.get(LIST, secure=True).wsgi_request.user
    _, _, lacking, protected = get_deleted_objects([user], request, admin.site)
    assert (RefreshTokenFamily._meta.verbose_name not in lacking) is may
    assert not protected


@has_permissions
def test_user_page_deletes_a_user_with_sessions(
    make_user: MakeUser, issued: Issued, user: AbstractBaseUser
) -> None:
    """Over HTTP, where the project has its users in the admin."""
    users = get_user_model()._meta
    try:
        url = reverse(f"admin:{users.app_label}_{users.model_name}_delete", args=[user.pk])
    except NoReverseMatch:
        pytest.skip("this user model is not in the admin")
    names = [f"{users.app_label}.{may}_{users.model_name}" for may in ("view", "delete")]
    _browser(make_user, *names).post(url, {"post": "yes"}, secure=True)
    assert not get_user_model()._default_manager.filter(pk=user.pk).exists()
    assert not RefreshTokenFamily.objects.exists()
