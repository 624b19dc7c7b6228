"""What has to hold between two tenants whose user 1 is somebody else, with one revocation backend.

Run as a program, since Django has one configuration in a process: `python -m tests.tenants.scenario
BACKEND`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import django
from django.conf import settings

PASSWORD = "correct horse battery staple"
TENANTS = ("a", "b")
BACKENDS = {
    "database": {"BACKEND": "jwt_auth.revocation.database.DatabaseRevocation"},
    "redis": {
        "BACKEND": "jwt_auth.revocation.redis.RedisRevocation",
        "OPTIONS": {"CACHE": "revocation", "TIMEOUT": 60.0},
    },
    "stateless": {"BACKEND": "jwt_auth.revocation.stateless.NoRevocation"},
}


def set_up_tenants() -> None:
    """Make two tenants, and in each a user alice with the key 1."""
    from django.core.management import call_command

    call_command("generate_keys", verbosity=0)
    if "django_tenants" in settings.INSTALLED_APPS:
        from tests.tenants.customers.models import Customer, Domain

        call_command("migrate_schemas", "--shared", "--run-syncdb", verbosity=0)
        for name in TENANTS:
            customer = Customer.objects.create(schema_name=f"tenant_{name}", name=name)
            Domain.objects.create(domain=f"{name}.example.com", tenant=customer, is_primary=True)
    else:
        for name in TENANTS:
            call_command("migrate", database=f"tenant_{name}", verbosity=0)
    for name in TENANTS:
        with inside(name):
            make_user(name)


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Work as that tenant, outside of a request."""
    if "django_tenants" in settings.INSTALLED_APPS:
        from django_tenants.utils import schema_context

        with schema_context(f"tenant_{name}"):
            yield
        return
    from tests.tenants.recipe import in_database

    token = in_database.set(f"tenant_{name}")
    try:
        yield
    finally:
        in_database.reset(token)


def make_user(tenant: str) -> None:
    """Make alice."""
    from django.contrib.auth import get_user_model

    user = get_user_model()._default_manager.create_user(
        username="alice", email=f"{tenant}@example.com", password=PASSWORD
    )
    assert user.pk == 1


class Visitor:
    """A browser at one tenant's host."""

    def __init__(self, tenant: str) -> None:
        from rest_framework.test import APIClient

        self.client, self.host, self.token = APIClient(), f"{tenant}.example.com", ""

    def send(self, method: str, path: str, **extra: Any) -> Any:
        """Send a request with the access token."""
        headers = {"Host": self.host, "Authorization": f"Bearer {self.token}"}
        call = getattr(self.client, method)
        return call(f"/api/auth/{path}", headers=headers, secure=True, format="json", **extra)

    def log_in(self, password: str = PASSWORD, **extra: Any) -> int:
        """Log in as alice."""
        credentials = {"username": "alice", "password": password}
        answer = self.send("post", "login/", data=credentials, **extra)
        self.token = answer.json().get("access_token", "")
        return int(answer.status_code)

    def visit(self) -> int:
        """Ask for what needs a token."""
        return int(self.send("get", "me/").status_code)


def read_in_other(token: str) -> str:
    """Read a user of tenant a, for the first time, where the code has gone over to tenant b."""
    from rest_framework.request import Request
    from rest_framework.test import APIRequestFactory

    from jwt_auth.authentication import JWTAuthentication

    request = APIRequestFactory().get("/", headers={"Authorization": f"Bearer {token}"})
    with inside("a"):
        found: Any = JWTAuthentication().authenticate(Request(request))
        with inside("b"):
            return str(found[0].email)


def change_from_other() -> list[str] | None:
    """Change and delete a user of tenant a where the code is at tenant b, if that can be named."""
    from django.contrib.auth import get_user_model

    if "django_tenants" in settings.INSTALLED_APPS:
        return None
    outcomes = []
    with inside("b"):
        user: Any = get_user_model()._default_manager.using("tenant_a").get(pk=1)
        user.set_password("another staple")
        for change in (user.save, user.delete):
            try:
                change(using="tenant_a")
                outcomes.append("done")
            except RuntimeError as error:
                outcomes.append(f"refused, {'tenant_a' in str(error)}")
    return outcomes


def denied() -> list[list[str]]:
    """Tell which users the deny feed of each tenant names."""
    from jwt_auth.revocation.published import find_denials

    named = []
    for tenant in ("a", "b"):
        with inside(tenant):
            named.append(sorted(find_denials(datetime.now(UTC)).users))
    return named


def log_in_on_new_devices() -> list[str]:
    """Log in at each tenant on one more device, twice, and tell who was reported."""
    from jwt_auth.mail.dispatch import queue
    from tests.tenants.hook import noted

    assert queue.flush(60)
    noted.clear()
    for tenant in ("a", "b", "a", "b"):
        assert Visitor(tenant).log_in(HTTP_USER_AGENT="curl/8.5.0") == 200
        # One after the other, because the thread compares each with those before it.
        assert queue.flush(60)
    return list(noted)


def use_one_time_tokens() -> list[int]:
    """Use the tokens of both at both tenants. The users have one address and one token version."""
    from jwt_auth import flows

    def issue(tenant: str) -> str:
        with inside(tenant):
            return flows.issue_one_time_token(
                change_address("alice@example.com"),
                purpose="email_confirmation",
                lifetime=timedelta(hours=1),
                now=datetime.now(UTC),
            )

    of_a, of_b = issue("a"), issue("b")
    statuses = [
        int(Visitor(host).send("post", "email/confirm/", data={"token": token}).status_code)
        for host, token in [("a", of_b), ("b", of_a), ("a", of_a), ("a", of_a), ("b", of_b)]
    ]
    for name in TENANTS:
        with inside(name):
            change_address(f"{name}@example.com")
    return statuses


def change_address(address: str) -> Any:
    """Give alice another address, and return her."""
    from django.contrib.auth import get_user_model

    alice = get_user_model()._default_manager.get(pk=1)
    alice.email = address
    alice.save(update_fields=["email"])
    return alice


def ask_for_links(send: Callable[[], object]) -> list[str]:
    """Ask at tenant a for links to set new passwords, and tell who got one when they are sent."""
    from django.core import mail

    for address in ("b@example.com", "a@example.com"):
        answer = Visitor("a").send("post", "password/reset/", data={"email": address})
        assert answer.status_code == 202
    send()
    recipients = [address for message in mail.outbox for address in message.to]
    mail.outbox.clear()
    return recipients


def send_from_threads() -> None:
    """Wait for the threads of the process."""
    from jwt_auth.mail.dispatch import queue

    assert queue.flush(60)


def ask_for_links_from_a_worker() -> list[str] | None:
    """The same with tasks that a worker runs, which is at no tenant; only schemas are passed on."""
    if "django_tenants" not in settings.INSTALLED_APPS:
        return None
    package = "django.tasks" if django.VERSION >= (6,) else "django_tasks"
    settings.TASKS = {"default": {"BACKEND": f"{package}.backends.dummy.DummyBackend"}}
    settings.JWT_AUTH_MAIL_DISPATCHER = "jwt_auth.mail.tasks.enqueue"
    from django.db import connection

    from jwt_auth.mail.tasks import deliver_message

    backend: Any = deliver_message.get_backend()

    def work() -> None:
        connection.set_schema_to_public()  # type: ignore[attr-defined]  # of django-tenants
        for result in backend.results:
            result.task.call(*result.args)

    return ask_for_links(work)


def play() -> dict[str, Any]:
    """Let the tenants' users meet, and tell what they were answered."""
    a, b, at_home = Visitor("a"), Visitor("b"), Visitor("b")
    told: dict[str, Any] = {}
    told["log_in"] = [a.log_in(), at_home.log_in()]
    told["own"] = [a.visit(), at_home.visit(), a.visit()]
    b.token, b.client.cookies = a.token, a.client.cookies
    told["foreign_access_token"] = [b.visit(), b.visit()]
    told["foreign_refresh_token"] = b.send("post", "refresh/").status_code
    told["foreign_logout"] = [b.send("post", "logout/").status_code, a.visit()]
    told["one_time_tokens"] = use_one_time_tokens()
    told["logout_all_of_other"] = [at_home.send("post", "logout-all/").status_code, a.visit()]
    told["ended"] = at_home.visit()
    told["denied"] = denied()
    told["read_in_other"] = read_in_other(a.token)
    told["changed_from_other"] = change_from_other()
    told["after_change"] = [Visitor("a").log_in(), a.visit()]
    told["new_devices"] = log_in_on_new_devices()
    told["links_by_threads"] = ask_for_links(send_from_threads)
    told["links_by_a_worker"] = ask_for_links_from_a_worker()
    told["guesses"] = [Visitor("b").log_in("wrong") for _ in range(3)]
    told["guess_at_other"] = Visitor("a").log_in("wrong")
    with inside("b"):
        from django.core.management import call_command

        call_command("revoke_tokens", all=True, verbosity=0)
    told["revoke_all_of_other"] = a.visit()
    with inside("a"):
        call_command("revoke_tokens", all=True, verbosity=0)
    told["revoke_all"] = a.visit()
    return told


if __name__ == "__main__":
    django.setup()
    settings.JWT_AUTH_REVOCATION = BACKENDS[sys.argv[1]]
    settings.JWT_AUTH_DENY_FEED = True
    set_up_tenants()
    print(json.dumps(play()))  # noqa: T201
