"""The pages that mails link to: each setting is an address with ``{token}`` in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from django.core.checks import CheckMessage

from jwt_auth.check_messages import setting_error, setting_line, warning
from jwt_auth.conf import conf

PLACE: Final = "{token}"

#: The setting, its error, its warnings of plain HTTP and of a token that servers see, and an
#: example.
_SETTINGS: Final = (
    ("PASSWORD_RESET_URL", "E103", "W103", "W105", "https://app.example.com/reset#token={token}"),
    (
        "EMAIL_CONFIRMATION_URL",
        "E104",
        "W104",
        "W106",
        "https://app.example.com/confirm#token={token}",
    ),
)

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def check_mail_links() -> Iterator[CheckMessage]:
    for setting, wrong, plain, seen, example in _SETTINGS:
        url = getattr(conf, setting.lower())
        if url is None:
            continue
        line = f'"{example}"'
        if not _is_link(url):
            yield setting_error(
                wrong,
                setting,
                "must be the address of a page, with {token} in it once, or None.",
                line,
            )
            continue
        parts = urlsplit(url)
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            yield warning(
                plain,
                f"JWT_AUTH_{setting} is plain HTTP: others on the way can change the page that"
                " takes the token.",
                setting_line(setting, line),
            )
        if PLACE not in parts.fragment:
            yield warning(
                seen,
                f"JWT_AUTH_{setting} has the token before the #: logs of servers and proxies, and"
                " other sites by the Referer header, get a token that can still be used.",
                setting_line(setting, line),
            )


def _is_link(url: object) -> bool:
    if not isinstance(url, str) or url.count(PLACE) != 1 or any(map(str.isspace, url)):
        return False
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError if it isn't a number
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and PLACE not in parts.netloc
