"""Run Schemathesis against a server of the example, and count what it has sent."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.live.site import PASSWORD, ROOT, Server, Site

USER = "alice"
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")

#: So low that an attack meets it, and its 429.
LOW_RATES = dict.fromkeys(
    (
        *("login_account", "login_address", "refresh", "service_client"),
        *("password_reset", "password_reset_address", "email_confirmation"),
    ),
    "5/min",
)


#: So that the example's own views let the user in.
_SET_UP = """
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
user = get_user_model().objects.get(username={name!r})
user.groups.add(Group.objects.get_or_create(name="admin")[0])
user.tenant = "acme"
user.save()
"""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one run of Schemathesis has done."""

    is_good: bool
    report: str
    #: How often each operation was answered with each status.
    statuses: Mapping[str, Counter[int]]

    @property
    def cases(self) -> int:
        """How many requests were sent."""
        return sum(statuses.total() for statuses in self.statuses.values())


def prepare(site: Site) -> tuple[Site, Mapping[str, str]]:
    """Turn on every endpoint, and make a service client; give what the attack has to know."""
    rates = json.loads(site.settings["JWT_AUTH_THROTTLE_RATES"])
    site = site.using(
        JWT_AUTH_DENY_FEED="true",
        JWT_AUTH_PASSWORD_RESET_URL="https://app.example.test/reset#token={token}",
        JWT_AUTH_EMAIL_CONFIRMATION_URL="https://app.example.test/confirm#token={token}",
        JWT_AUTH_THROTTLE_RATES=json.dumps(dict.fromkeys([*LOW_RATES, *rates])),
        DJANGO_SETTINGS_MODULE="tests.live.schema.settings",
    )
    site.manage("shell", "-c", _SET_UP.format(name=USER))
    made = json.loads(site.manage("create_service_client", "fuzzed", "--format", "json"))
    return site, {
        "FUZZED_USER": USER,
        "FUZZED_PASSWORD": PASSWORD,
        "FUZZED_CLIENT_ID": made["client_id"],
        "FUZZED_CLIENT_SECRET": made["client_secret"],
    }


def attack(
    server: Server,
    site: Site,
    knowledge: Mapping[str, str],
    *,
    examples: int,
    seed: int,
    log: Path,
    arguments: Sequence[str] = (),
) -> Result:
    """Send at most so many examples to each operation, in each phase."""
    log.unlink(missing_ok=True)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION)),
            *("run", f"{server.address}/api/schema/?format=json"),
            *("--tls-verify", str(server.certificate), "--seed", str(seed)),
            *("--max-examples", str(examples), "--generation-database", "none"),
            *arguments,
        ],
        cwd=ROOT,
        env={
            **site.environment,
            **knowledge,
            "FUZZED_LOG": str(log),
            "PYTHONPATH": str(ROOT),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    statuses: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for line in log.read_text().splitlines() if log.exists() else ():
        operation, status, _ = line.split(" ")
        statuses[operation][int(status)] += 1
    return Result(is_good=done.returncode == 0, report=done.stdout + done.stderr, statuses=statuses)
