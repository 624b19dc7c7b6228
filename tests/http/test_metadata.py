"""GET /.well-known/oauth-authorization-server (RFC 8414)."""

from __future__ import annotations

import pytest
from django.test.utils import override_script_prefix
from pytest_django import Settings

from tests.http.site import Site

pytestmark = pytest.mark.smoke

URL = "/.well-known/oauth-authorization-server"
BASIC = ["client_secret_basic"]


@pytest.fixture
def site() -> Site:
    """A client; no database is needed, and none is allowed."""
    return Site()


@pytest.mark.parametrize("url", [URL, f"{URL}/"])
def test_metadata_lists_what_is_mounted(url: str, site: Site) -> None:
    """At the issuer's address, and nothing that doesn't exist."""
    answer = site.get(url)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    assert answer["Cache-Control"] == "public, max-age=300"
    assert answer.json() == {
        "issuer": "https://auth.example.test",
        "jwks_uri": "https://auth.example.test/.well-known/jwks.json",
        "introspection_endpoint": "https://auth.example.test/api/auth/introspect/",
        "introspection_endpoint_auth_methods_supported": BASIC,
        "revocation_endpoint": "https://auth.example.test/api/auth/revoke/",
        "revocation_endpoint_auth_methods_supported": BASIC,
        "response_types_supported": [],
        "grant_types_supported": [],
    }


@pytest.mark.urls("tests.http.metadata_urls")
def test_endpoints_are_found_under_any_namespace(site: Site) -> None:
    """The first one that has a fixed path, a project's subclass among them."""
    said = site.get("/public/oauth-authorization-server").json()
    assert said["jwks_uri"] == "https://auth.example.test/public/jwks.json"
    assert said["introspection_endpoint"] == "https://auth.example.test/outer/own/"
    assert said["revocation_endpoint"] == "https://auth.example.test/outer/in/revoke/"


@pytest.mark.urls("tests.http.nothing_urls")
def test_endpoints_that_are_not_mounted_are_left_out(site: Site) -> None:
    """What RFC 8414 §2 requires stays."""
    assert site.get("/only/").json() == {
        "issuer": "https://auth.example.test",
        "response_types_supported": [],
        "grant_types_supported": [],
    }


def test_host_header_is_not_believed(site: Site, settings: Settings) -> None:
    """A cache would hand an attacker's address to everyone."""
    settings.ALLOWED_HOSTS = ["*"]
    said = site.get(URL, headers={"Host": "evil.example"}, HTTP_HOST="evil.example")
    assert "evil" not in said.content.decode()


@pytest.mark.parametrize("issuer", ["example", "http://localhost:8000", "https:", "https://["])
def test_issuer_that_is_no_address_leaves_the_requests_own(
    issuer: str, site: Site, settings: Settings
) -> None:
    """Of an allowed host, and kept by no cache."""
    settings.JWT_AUTH_ISSUER = issuer
    answer = site.get(URL)
    assert answer["Cache-Control"] == "no-store"
    assert answer.json()["issuer"] == issuer
    assert answer.json()["jwks_uri"] == "https://testserver/.well-known/jwks.json"
    assert site.get(URL, HTTP_HOST="evil.test").status_code == 400
    assert site.get(f"{URL}/example").status_code == 404


def test_service_that_only_verifies_lists_its_own(site: Site, settings: Settings) -> None:
    """The issuer's address is another server's."""
    settings.JWT_AUTH_JWKS_URL = "https://auth.example.test/.well-known/jwks.json"
    answer = site.get(URL)
    assert answer["Cache-Control"] == "no-store"
    assert answer.json()["issuer"] == "https://auth.example.test"
    assert answer.json()["revocation_endpoint"] == "https://testserver/api/auth/revoke/"


def test_endpoints_without_sessions_are_left_out(site: Site, settings: Settings) -> None:
    """They would answer 503; the keys are published again."""
    settings.JWT_AUTH_JWKS_URL = "https://auth.example.test/.well-known/jwks.json"
    settings.JWT_AUTH_REVOCATION = {"BACKEND": "jwt_auth.revocation.stateless.NoRevocation"}
    said = site.get(URL).json()
    assert said["jwks_uri"] == "https://testserver/.well-known/jwks.json"
    assert not [name for name in said if name.startswith(("introspection", "revocation"))]


@pytest.mark.parametrize(
    ("issuer", "path"),
    [
        ("https://example.com/one", "/one"),
        ("https://example.com/one/", "/one"),
        ("https://example.com/caf%C3%A9/two", "/caf%C3%A9/two"),
    ],
)
def test_path_of_the_issuer_follows_the_well_known_one(
    issuer: str, path: str, site: Site, settings: Settings
) -> None:
    """RFC 8414 §3: it is put in behind; another issuer's is not ours."""
    settings.JWT_AUTH_ISSUER = issuer
    answer = site.get(URL + path)
    assert answer.status_code == 200
    assert answer.json()["issuer"] == issuer
    assert answer.json()["jwks_uri"] == "https://example.com/.well-known/jwks.json"
    for other in ("/other", f"{path}/x", f"/x{path}"):
        refused = site.get(URL + other)
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found")


def test_prefix_of_the_site_is_part_of_the_addresses(site: Site) -> None:
    """The server's SCRIPT_NAME: clients see it."""
    with override_script_prefix("/app/"):  # as a server's handler does
        said = site.get(URL).json()
    assert said["jwks_uri"] == "https://auth.example.test/app/.well-known/jwks.json"


def test_unchanged_metadata_is_not_sent_again(site: Site) -> None:
    """304 to a client that has it."""
    answer = site.get(URL, headers={"If-None-Match": site.get(URL)["ETag"]})
    assert (answer.status_code, answer.content) == (304, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods_get_json(method: str, site: Site) -> None:
    """405, with CSRF checks, too."""
    site.handler.enforce_csrf_checks = True
    answer = site.generic(method, URL)
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD")
    assert answer.json()["code"] == "method_not_allowed"
