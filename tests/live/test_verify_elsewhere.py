"""The Python example of docs/how-to/verify-elsewhere.md, as another service would run it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests

from tests.live.site import Server, Site
from tests.live.test_peers import ISSUER
from tests.live.test_transcript import log_in

pytestmark = [pytest.mark.live, pytest.mark.example]

_PAGE = Path(__file__).parents[2] / "docs/how-to/verify-elsewhere.md"


@pytest.fixture
def verify(server: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """The page's function, with the addresses of the live site."""
    monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
    monkeypatch.setenv("NO_PROXY", "*")
    example = re.search(r"```python\n(.*?)```", _PAGE.read_text(), re.DOTALL)
    assert example is not None
    names: dict[str, Any] = {}
    site = "https://www.example.com"
    exec(
        example[1].replace(f"{site}/.well", f"{server.address}/.well").replace(site, ISSUER), names
    )
    verify: Callable[[str], Any] = names["verify"]
    return verify


def test_example_accepts_our_token(client: requests.Session, verify: Callable[[str], Any]) -> None:
    """It fetches the key set, and gives the claims."""
    token = log_in(client)
    assert verify(token) == jwt.decode(token, options={"verify_signature": False})


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "another-api"},
        {"iss": "https://www.example.org"},
        {"token_use": "refresh"},
        {"exp": 1},
        {"typ": "JWT"},
    ],
    ids=str,
)
def test_example_refuses_what_is_not_for_it(
    changed: dict[str, Any], site: Site, client: requests.Session, verify: Callable[[str], Any]
) -> None:
    """Even with a good signature: the site's own key has made it."""
    token = log_in(client)
    claims = jwt.decode(token, options={"verify_signature": False})
    header = jwt.get_unverified_header(token)
    keys = json.loads((site.keys / "ring.json").read_text())["keys"]
    key = next(key["jwk"] for key in keys if key["jwk"]["kid"] == header["kid"])
    header["typ"] = changed.get("typ", header["typ"])
    made = jwt.encode(claims | changed, jwt.PyJWK(key), algorithm="ES256", headers=header)
    with pytest.raises(jwt.PyJWTError):
        verify(made)
