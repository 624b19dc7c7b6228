"""The locations of caches, which may hold a password."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage

from jwt_auth.check_messages import error

_SCHEMES: Final = ("redis://", "rediss://")


def locations_of(alias: str) -> list[str]:
    """Give the Redis URLs of a cache; a cache of another kind has none."""
    given = settings.CACHES[alias].get("LOCATION") or ()
    found = re.split("[;,]", given) if isinstance(given, str) else given  # as caches do
    return [str(url) for url in found if str(url).startswith(_SCHEMES)]


def has_tls(url: str) -> bool:
    return url.startswith("rediss://")


def check_locations(alias: str) -> Iterator[CheckMessage]:
    """Refuse a URL that clients would read differently from what the project meant.

    They would take a part of the password for the host and the port, and show it in errors.
    """
    if any(not _is_well_formed(url) for url in locations_of(alias)):
        yield error(
            "E062",
            f"The LOCATION of the cache {alias!r} can't be read as a URL. "
            "Percent-encode its password.",
            'Write "%23" for "#", "%2F" for "/" and "%40" for "@", or encode all of it with '
            'urllib.parse.quote(password, safe="").',
        )


def _is_well_formed(url: str) -> bool:
    rest = url.partition("://")[2]
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    if "@" in authority:
        return authority.count("@") == 1
    # An "@" after the authority ends a password that was cut off, unless it is in an argument.
    names = [argument.partition("=")[0] for argument in parts.query.split("&")]
    return not any("@" in part for part in (parts.path, parts.fragment, *names))
