"""GET /.well-known/jwks.json."""

from __future__ import annotations

import json

import pytest

from jwt_auth.keys.stores.base import get_key_store
from tests.http.site import Site

URL = "/.well-known/jwks.json"


@pytest.fixture
def site() -> Site:
    """A client; no database is needed, and none is allowed."""
    return Site()


@pytest.mark.parametrize("url", [URL, f"{URL}/"])
def test_key_set_is_public_and_may_be_cached(url: str, site: Site) -> None:
    """RFC 7517 §5 and §8.5.2; the time is what KEY_PUBLISH_AHEAD counts on."""
    answer = site.get(url)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/jwk-set+json"
    assert answer["Cache-Control"] == "public, max-age=300"
    (key,) = json.loads(answer.content)["keys"]
    assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("EC", "P-256", "ES256", "sig")
    assert key["kid"]


def test_key_set_has_no_private_member(site: Site) -> None:
    """Not the member's name, not its value."""
    (stored,) = get_key_store().load().keys
    answer = site.get(URL)
    assert stored.jwk["d"] not in answer.content.decode()
    assert "d" not in json.loads(answer.content)["keys"][0]


@pytest.mark.parametrize("prefix", ["", "W/", '"something", '])
def test_unchanged_key_set_is_not_sent_again(prefix: str, site: Site) -> None:
    """304 to whoever has it, with the headers that keep it fresh."""
    etag = site.get(URL)["ETag"]
    answer = site.get(URL, headers={"If-None-Match": prefix + etag})
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer["ETag"] == etag
    assert answer["Cache-Control"] == "public, max-age=300"


def test_other_etag_gets_the_key_set(site: Site) -> None:
    """A verifier with an older set gets the new one."""
    assert site.get(URL, headers={"If-None-Match": '"old"'}).status_code == 200


def test_head_has_the_headers(site: Site) -> None:
    """HEAD is GET without the body."""
    answer = site.head(URL)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer["ETag"] == site.get(URL)["ETag"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods_get_json(method: str, site: Site) -> None:
    """405, and as everywhere: detail and code; not Django's page about a missing CSRF token."""
    site.handler.enforce_csrf_checks = True
    answer = site.generic(method, URL)
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD")
    assert answer.json()["code"] == "method_not_allowed"


def test_bad_authorization_header_changes_nothing(site: Site) -> None:
    """The keys are for everybody."""
    assert site.get(URL, headers={"Authorization": "Bearer a.b.c"}).status_code == 200
