"""The emergency drill of the documentation, as an operator runs it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jwt
import pytest

from jwt_auth.encoding import base64url_encode
from jwt_auth.keys import jwk
from jwt_auth.keys.stores.file import FileKeyStore
from tests.live.site import COMMAND_TIMEOUT, PASSWORD, ROOT, Server, Site, copy_keys
from tests.live.test_transcript import hello, log_in
from tests.live.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.example]

DRILL = ROOT / "docs" / "how-to" / "emergency_drill.py"
INTERVAL = float(os.environ.get("DRILL_INTERVAL", "1"))

#: Seconds more that it may take on a busy machine; without the reload it would never happen.
SLACK = 25

#: Each kind of client, and how what it sees begins.
SEEN = {
    "API client": "its access token is refused (401)",
    "browser page": "its refresh is refused (401 invalid_refresh_token)",
    "mobile client": "its refresh is refused (401 invalid_refresh_token)",
    "every process": "the key is gone from its key set",
    "verify-only service": "accepts old tokens until its cached key set expires",
    "user": "logs in again",
    "admin": "Django's session continues (200)",
}

MAKE_STAFF = """
from django.contrib.auth import get_user_model
get_user_model().objects.create_superuser("drill", "drill@example.test", {password!r})
"""


@pytest.fixture(scope="module")
def drilled(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site with keys of its own, and a member of staff."""
    folder = tmp_path_factory.mktemp("drill") / "keys"
    own = copy_keys(site, folder).using(JWT_AUTH_KEY_RELOAD_INTERVAL=str(int(INTERVAL)))
    own.manage("shell", "-c", MAKE_STAFF.format(password=PASSWORD))
    return own


@pytest.fixture(scope="module")
def server(drilled: Site) -> Iterator[Server]:
    with drilled.serve() as server:
        yield server


@pytest.mark.timeout(300)
def test_drill_shows_what_each_kind_of_client_sees(
    drilled: Site, server: Server, record_property: Callable[[str, object], None]
) -> None:
    """All of it within the reload interval that the command prints."""
    manage = shlex.join([sys.executable, str(ROOT / "manage.py")])
    command = [sys.executable, str(DRILL), server.address, "--manage", manage]
    command += ["--cafile", str(server.certificate), "--interval", str(INTERVAL + SLACK)]
    credentials = {"DRILL_USERNAME": "drill", "DRILL_PASSWORD": PASSWORD}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=drilled.environment | credentials,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    record_property("drill", done.stdout)
    rows = re.findall(r"^ *([\d.]+) s  (.{20})  (.*)$", done.stdout, re.MULTILINE)
    seen = {who.strip(): (float(seconds), what) for seconds, who, what in rows}
    for who, what in SEEN.items():
        assert seen[who][1].startswith(what), done.stdout
    assert f"Running servers load it within {INTERVAL:g} seconds." in done.stdout
    assert re.search(r"Ended \d+ sessions\.", done.stdout)


def test_thief_with_the_key_is_locked_out_within_the_interval(
    drilled: Site, server: Server
) -> None:
    """They forge a token of a session from after the emergency, which only the key's end stops."""
    thief = FileKeyStore(PATH=folder_of(drilled)).load().keys[-1]
    drilled.manage("rotate_keys", "--compromised", thief.kid, "--yes")
    with server.session() as client:
        forged = sign(jwk.prepare_signing_key(thief.jwk), log_in(client, "drill"))

    def is_locked_out() -> bool:
        return set(server.ask_many(lambda client: hello(client, forged))) == {401}

    wait_until(is_locked_out, "no process believes a withdrawn key", patience=INTERVAL + SLACK)


def folder_of(site: Site) -> Path:
    return Path(re.findall(r'"PATH": "([^"]+)"', site.settings["JWT_AUTH_KEY_STORE"])[0])


def sign(key: jwk.SigningKey, token: str) -> str:
    """Sign another token's claims with a key of one's own."""
    header = {**jwt.get_unverified_header(token), "kid": key.kid, "alg": key.algorithm}
    first = base64url_encode(str(header).replace("'", '"').encode())
    signing_input = f"{first}.{token.split('.')[1]}"
    return f"{signing_input}.{base64url_encode(key.sign(signing_input.encode()))}"
