"""manage.py create_service_client and deactivate_service_client."""

from __future__ import annotations

import json
import sys

import pytest
from django.core.management.base import CommandError

from jwt_auth.models import ServiceClient
from tests.http.conftest import cheap_argon2, site  # noqa: F401  fixtures
from tests.http.services import Service
from tests.http.site import Site
from tests.management.commands import output_of
from tests.management.test_read_only import read_only

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.sql,
    pytest.mark.smoke,
    pytest.mark.usefixtures("cheap_argon2"),
]


def _status(client_id: str, secret: str, site: Site) -> int:  # noqa: F811
    service = Service(client=ServiceClient(pk=client_id), secret=secret)
    return int(service.ask(site, "introspect/", "x").status_code)


@pytest.mark.parametrize("format_", ["text", "json"])
def test_new_client_is_let_in_by_what_is_printed(format_: str, site: Site) -> None:  # noqa: F811
    """A line each, or JSON: for people and for scripts."""
    said = output_of("create_service_client", "gateway", "--format", format_)
    if format_ == "json":
        shown = json.loads(said)
    else:
        shown = dict(line.split(": ") for line in said.splitlines())
    assert list(shown) == ["client_id", "client_secret"]
    assert _status(shown["client_id"], shown["client_secret"], site) == 200


def test_taken_name_is_refused() -> None:
    """The other client goes on as it was."""
    output_of("create_service_client", "gateway")
    (before,) = ServiceClient.objects.values()
    with pytest.raises(CommandError, match="this name already: give another name"):
        output_of("create_service_client", "gateway")
    assert list(ServiceClient.objects.values()) == [before]


@pytest.mark.parametrize("name", ["", "x" * 101, "a\nb", "a\0b"])
def test_name_that_no_list_can_show_is_refused(name: str) -> None:
    """And one that the table can't hold."""
    with pytest.raises(CommandError, match="1 to 100 printable characters"):
        output_of("create_service_client", name)
    assert not ServiceClient.objects.exists()


def test_unknown_format_creates_nothing() -> None:
    """The secret could not be read otherwise."""
    with pytest.raises(CommandError, match="must be text or json"):
        output_of("create_service_client", "gateway", "--format", "yaml")
    assert not ServiceClient.objects.exists()


def test_missing_argon2_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the line that installs it."""
    monkeypatch.setitem(sys.modules, "argon2", None)
    with pytest.raises(CommandError, match=r'pip install "django-jwt-sessions\[argon2\]"'):
        output_of("create_service_client", "gateway")


def test_deactivated_client_is_let_in_no_more(site: Site) -> None:  # noqa: F811
    """From its next request on; a second run has nothing to do."""
    shown = json.loads(output_of("create_service_client", "gateway", "--format", "json"))
    credentials = shown["client_id"], shown["client_secret"]
    assert _status(*credentials, site) == 200
    assert output_of("deactivate_service_client", "gateway") == "Deactivated the service client.\n"
    assert _status(*credentials, site) == 401
    said = output_of("deactivate_service_client", "gateway")
    assert said == "The service client was deactivated before.\n"


def test_unknown_name_is_told() -> None:
    """An operator in a hurry must not believe that it is done."""
    with pytest.raises(CommandError, match="no service client with this name"):
        output_of("deactivate_service_client", "gateway")


@pytest.mark.django_db(transaction=True)
def test_standby_creates_and_deactivates_nothing() -> None:
    """One sentence, as by every command."""
    output_of("create_service_client", "gateway")
    for command in (("create_service_client", "other"), ("deactivate_service_client", "gateway")):
        with read_only(), pytest.raises(CommandError, match="not a read-only standby"):
            output_of(*command)
    (left,) = ServiceClient.objects.all()
    assert left.is_active
