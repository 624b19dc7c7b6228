"""The locations of caches, which may hold a password."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error

_SCHEMES: Final = ("redis://", "rediss://")


def locations_of(alias: str) -> list[str]:
    """Give the Redis URLs of a cache; of any other there are none."""
    given = settings.CACHES[alias].get("LOCATION") or ()
    found = re.split("[;,]", given) if isinstance(given, str) else given  # as caches do
    return [str(url) for url in found if str(url).startswith(_SCHEMES)]


def has_tls(url: str) -> bool:
    return url.startswith("rediss://")


def check_locations(alias: str) -> Iterator[CheckMessage]:
    """Refuse a URL that is read as another one than was meant: a part of the password stands where
    host and port are looked for.
    """
    if any(not _is_well_formed(url) for url in locations_of(alias)):
        yield Error(
            f"The LOCATION of the cache {alias!r} is not a URL that can be read: percent-encode "
            "its password.",
            hint='Write "%23" for "#", "%2F" for "/", "%40" for "@", or all of it as '
            'urllib.parse.quote(password, safe="").',
            id="jwt_auth.E062",
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
    # An "@" further on ends a password that was cut off before, unless it is an argument's.
    names = [argument.partition("=")[0] for argument in parts.query.split("&")]
    return not any("@" in part for part in (parts.path, parts.fragment, *names))
