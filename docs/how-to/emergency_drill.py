#!/usr/bin/env python
"""Rehearse a stolen signing key on a test site: the drill logs out every user of the site.

    export DRILL_USERNAME=… DRILL_PASSWORD=…        a staff user, to see the admin as well
    python emergency_drill.py https://staging.example.com --manage "python manage.py"

A client of each kind logs in. Then the drill runs `rotate_keys --compromised` for the key that
signed their tokens, and measures when each client sees the effect. The exit code is 0 only if all
effects came within the time that the command promises.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.cookiejar import CookieJar
from typing import Any

import jwt

#: How many answers in a row have to agree, each over a separate connection: a site has several
#: processes, and each of them loads the new key ring at a different time.
AGREEING = 20

#: Seconds beyond the reload interval: for the load itself, and for the drill's own requests.
GRACE = 10


@dataclass(frozen=True)
class Answer:
    """A status and a body, and the body as JSON."""

    status: int
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Client:
    """A browser, an app or a service: the site's address and a separate cookie jar."""

    def __init__(self, site: str, tls: ssl.SSLContext) -> None:
        self.site = site
        self.cookies = CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=tls),
            urllib.request.HTTPCookieProcessor(self.cookies),
        )

    def send(self, path: str, *, token: str = "", **body: str) -> Answer:
        """POST the body as JSON if there is one, otherwise GET."""
        data = json.dumps(body).encode() if body else None
        return self._open(path, data, {"Content-Type": "application/json"}, token)

    def post_form(self, path: str, **fields: str) -> Answer:
        data = urllib.parse.urlencode(fields).encode()
        return self._open(path, data, {"Referer": self.site + path}, "")

    def refresh(self) -> Answer:
        """Refresh by the cookie, as a page does."""
        return self._open("/api/auth/refresh/", b"", {}, "")

    def _open(self, path: str, data: bytes | None, headers: dict[str, str], token: str) -> Answer:
        if token:
            headers = headers | {"Authorization": f"Bearer {token}"}
        request = urllib.request.Request(self.site + path, data, headers)
        try:
            with self._opener.open(request, timeout=30) as response:
                return Answer(response.status, response.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read().decode())


@dataclass
class Drill:
    """Log the clients in, replace the key, and print what each client sees."""

    new_client: Callable[[], Client]
    manage: list[str]
    interval: float
    username: str
    password: str
    began: float = 0.0

    def run(self) -> None:
        """Run the drill; exit if an effect is wrong or late."""
        browser, mobile, admin = self.new_client(), self.new_client(), self.new_client()
        token = self._log_in(browser, "/api/auth/")["access_token"]
        app = self._log_in(mobile, "/api/mobile/auth/")
        is_staff = self._log_in_to_admin(admin)
        cached = self._key_set()
        kid = jwt.get_unverified_header(token)["kid"]
        self._require(verifies(token, cached), "the key set verifies the token")

        self.began = time.monotonic()
        self._see("operator", f"runs rotate_keys --compromised {kid}")
        self._rotate(kid)

        self._await("API client", "its access token is refused (401)", lambda: self._is_out(token))
        self._see("browser page", self._lose_session(browser.refresh))
        body = {"refresh_token": app["refresh_token"]}
        refresh = "/api/mobile/auth/refresh/"
        self._see("mobile client", self._lose_session(lambda: mobile.send(refresh, **body)))
        self._await("every process", "the key is gone from its key set", lambda: self._is_gone(kid))
        self._see("verify-only service", self._look_at_cache(token, cached))
        self._log_in_again(browser, kid)
        if is_staff:
            status = admin.send("/admin/jwt_auth/refreshtokenfamily/").status
            self._see("admin", f"Django's session continues ({status}) and lists what ended")

    def _log_in(self, client: Client, mount: str) -> dict[str, str]:
        login = f"{mount}login/"
        answer = client.send(login, username=self.username, password=self.password)
        self._require(answer.status == 200, f"{login} answers 200, not {answer.status}")
        return dict(answer.json)

    def _log_in_to_admin(self, client: Client) -> bool:
        page = client.send("/admin/login/").text
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        if found is None:
            return False
        fields = {"username": self.username, "password": self.password, "next": "/admin/"}
        client.post_form("/admin/login/", csrfmiddlewaretoken=found[1], **fields)
        return any(cookie.name == "sessionid" for cookie in client.cookies)

    def _rotate(self, kid: str) -> None:
        command = [*self.manage, "rotate_keys", "--compromised", kid, "--yes"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        self._require(done.returncode == 0, f"rotate_keys succeeds: {done.stderr}")
        for line in done.stdout.splitlines():
            self._see("operator", line)

    def _key_set(self) -> jwt.PyJWKSet:
        return jwt.PyJWKSet.from_json(self.new_client().send("/.well-known/jwks.json").text)

    def _is_out(self, token: str) -> bool:
        return self.new_client().send("/api/auth/me/", token=token).status == 401

    def _is_gone(self, kid: str) -> bool:
        return all(key.key_id != kid for key in self._key_set().keys)

    def _await(self, who: str, what: str, has_happened: Callable[[], bool]) -> None:
        """Ask until ``AGREEING`` answers in a row agree."""
        agreeing, since = 0, time.monotonic()
        while agreeing < AGREEING:
            self._require(
                time.monotonic() - self.began < self.interval + GRACE, f"{who}: {what} in time"
            )
            if has_happened():
                agreeing += 1
            else:
                agreeing, since = 0, time.monotonic()
                time.sleep(0.2)
        self._see(who, what, at=since)

    def _lose_session(self, refresh: Callable[[], Answer]) -> str:
        answer = refresh()
        self._require(answer.status == 401, f"a refresh is refused, not {answer.status}")
        return f"its refresh is refused (401 {answer.json['code']}): log in again"

    def _look_at_cache(self, token: str, cached: jwt.PyJWKSet) -> str:
        self._require(not verifies(token, self._key_set()), "the new key set refuses the token")
        self._require(verifies(token, cached), "the old key set accepts the token")
        return "accepts old tokens until its cached key set expires (5 minutes), then none"

    def _log_in_again(self, browser: Client, kid: str) -> None:
        token = self._log_in(browser, "/api/auth/")["access_token"]
        self._require(jwt.get_unverified_header(token)["kid"] != kid, "a new key signs")
        self._require(verifies(token, self._key_set()), "the new key set verifies it")
        self._see("user", "logs in again, and gets a token of the new key")

    def _see(self, who: str, what: str, *, at: float | None = None) -> None:
        seconds = (time.monotonic() if at is None else at) - self.began
        print(f"{seconds:7.1f} s  {who:<20}  {what}", flush=True)

    def _require(self, good: bool, what: str) -> None:
        if not good:
            sys.exit(f"The drill failed. It should be that {what}")


def verifies(token: str, keys: jwt.PyJWKSet) -> bool:
    """Verify as another service does, with the key set alone."""
    header = jwt.get_unverified_header(token)
    for key in keys.keys:
        if key.key_id == header["kid"]:
            options: Any = {"verify_aud": False}
            return bool(jwt.decode(token, key, algorithms=[header["alg"]], options=options))
    return False


def main() -> None:
    """Read the command line and run the drill."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("site", help="address of the site, without a slash at the end")
    parser.add_argument("--manage", default="python manage.py", help="how manage.py is run")
    parser.add_argument("--interval", type=float, default=60, help="the reload interval, seconds")
    parser.add_argument("--cafile", help="the CA of the site's certificate, if it is private")
    arguments = parser.parse_args()
    tls = ssl.create_default_context(cafile=arguments.cafile)
    drill = Drill(
        new_client=lambda: Client(arguments.site, tls),
        manage=shlex.split(arguments.manage),
        interval=arguments.interval,
        username=os.environ["DRILL_USERNAME"],
        password=os.environ["DRILL_PASSWORD"],
    )
    drill.run()


if __name__ == "__main__":
    main()
