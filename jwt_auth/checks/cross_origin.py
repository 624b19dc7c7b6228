"""Front ends on other origins: whether CORS, CSRF's trusted origins and the cookies' attributes say
the same thing.

The settings of django-cors-headers are read by their names, without the package, and with the
defaults that it has. Which names make one *site* is written in a list that browsers carry (the
Public Suffix List); here two hosts count as one site where their last two labels are the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage
from django.http.request import validate_host

from jwt_auth.checks import messages
from jwt_auth.checks.cookies import check_cookie_types
from jwt_auth.conf import conf
from jwt_auth.http.origins import is_trusted_origin, origin_matches

#: What django-cors-headers allows by itself.
DEFAULT_HEADERS: Final = (
    *("accept", "authorization", "content-type", "user-agent"),
    *("x-csrftoken", "x-requested-with"),
)


def check_cross_origin() -> Iterator[CheckMessage]:
    if any(check_cookie_types()):
        return
    yield from _check_domain()
    if _sends_cookies():
        yield from _check_cors()
    yield from _check_sites()


def _check_cors() -> Iterator[CheckMessage]:
    """CORS lets other origins' pages send cookies."""
    if _cors("CORS_ALLOW_ALL_ORIGINS", "CORS_ORIGIN_ALLOW_ALL", default=False):
        yield messages.warning(
            "W062",
            "CORS lets the pages of every site read what the user's cookies get.",
            "Remove CORS_ALLOW_ALL_ORIGINS, and write the front end's origins into "
            "CORS_ALLOWED_ORIGINS",
        )
    else:
        yield from _check_origins()
    allowed = {name.lower() for name in _cors("CORS_ALLOW_HEADERS", default=DEFAULT_HEADERS)}
    missing = [name for name in _needed_headers() if name.lower() not in allowed]
    if missing:
        yield messages.warning(
            "W066",
            f"CORS does not let a front end send {' and '.join(missing)}.",
            f"Write {', '.join(repr(name.lower()) for name in missing)} into CORS_ALLOW_HEADERS, "
            "beside corsheaders.defaults.default_headers",
        )
    exposed = {name.lower() for name in _cors("CORS_EXPOSE_HEADERS", default=())}
    if "www-authenticate" not in exposed:
        yield messages.warning(
            "W052",
            "CORS does not let a front end read whether its access token was refused or an "
            "application's own 401 is meant.",
            "Write 'WWW-Authenticate' into CORS_EXPOSE_HEADERS",
        )
    if "retry-after" not in exposed:
        yield messages.warning(
            "W069",
            "CORS does not let a front end read how long a throttled log-in has to wait.",
            "Write 'Retry-After' into CORS_EXPOSE_HEADERS",
        )


def _check_origins() -> Iterator[CheckMessage]:
    for origin in _allowed_origins():
        if not is_trusted_origin(origin) and not _is_own(origin):
            yield messages.warning(
                "W063",
                f"CORS lets {origin} send cookies, and CSRF_TRUSTED_ORIGINS lacks it: its log-in, "
                "refresh and log-out are refused.",
                f'Write "{origin}" into CSRF_TRUSTED_ORIGINS',
            )
    for origin in settings.CSRF_TRUSTED_ORIGINS:
        if not _is_allowed(origin) and not _is_own(origin):
            yield messages.warning(
                "W064",
                f"CSRF_TRUSTED_ORIGINS has {origin}, and CORS does not let it read any answer.",
                f'Write "{origin}" into CORS_ALLOWED_ORIGINS if it is a front end, else remove it',
            )


def _check_sites() -> Iterator[CheckMessage]:
    """A cookie with SameSite goes to pages of the same site only, whatever CORS says."""
    if conf.refresh_cookie_samesite == "None":
        return
    own = {_site(host) for host in _own_hosts()}
    if not own:
        return
    samesite = conf.refresh_cookie_samesite
    for origin in dict.fromkeys((*settings.CSRF_TRUSTED_ORIGINS, *_credentialed_origins())):
        if _site(_host(origin)) not in own:
            yield messages.warning(
                "W065",
                f"{origin} is on another site than ALLOWED_HOSTS: browsers send no cookie from "
                f"there while JWT_AUTH_REFRESH_COOKIE_SAMESITE is {samesite!r}.",
                "Serve the front end from a subdomain of the same site, or read "
                "docs/how-to/cross-origin.md",
            )


def _check_domain() -> Iterator[CheckMessage]:
    domain = (conf.refresh_cookie_domain or "").lstrip(".").lower()
    hosts = _own_hosts()
    if not domain or not hosts:
        return
    under = [host for host in hosts if f".{host}".endswith(f".{domain}")]
    if not under:
        yield messages.warning(
            "W068",
            f"JWT_AUTH_REFRESH_COOKIE_DOMAIN is {domain}, which no host of ALLOWED_HOSTS is under: "
            "browsers refuse the cookies.",
            "Write JWT_AUTH_REFRESH_COOKIE_DOMAIN = None",
        )
    elif (common := _common_domain(under)) != domain:
        yield messages.warning(
            "W067",
            f"JWT_AUTH_REFRESH_COOKIE_DOMAIN sends the cookies to every subdomain of {domain}, and "
            f"all hosts of ALLOWED_HOSTS are under {common}. A front end on another subdomain "
            "needs no domain.",
            "Write JWT_AUTH_REFRESH_COOKIE_DOMAIN = None",
        )


def _needed_headers() -> list[str]:
    csrf = settings.CSRF_HEADER_NAME.removeprefix("HTTP_").replace("_", "-").title()
    return ["Authorization", "Idempotency-Key", *([csrf] if conf.access_cookie_name else [])]


def _sends_cookies() -> bool:
    """Whether CORS is answered at all, and lets cookies go along."""
    is_there = any(name.startswith("corsheaders.") for name in settings.MIDDLEWARE)
    return is_there and bool(_cors("CORS_ALLOW_CREDENTIALS", default=False))


def _credentialed_origins() -> tuple[str, ...]:
    return _allowed_origins() if _sends_cookies() else ()


def _allowed_origins() -> tuple[str, ...]:
    return tuple(_cors("CORS_ALLOWED_ORIGINS", "CORS_ORIGIN_WHITELIST", default=()))


def _is_allowed(trusted: str) -> bool:
    """Whether CORS has something for an entry of ``CSRF_TRUSTED_ORIGINS``."""
    patterns: Iterable[Any] = _cors(
        "CORS_ALLOWED_ORIGIN_REGEXES", "CORS_ORIGIN_REGEX_WHITELIST", default=()
    )
    # A wildcard stands for any subdomain: one will do to ask the patterns.
    example = trusted.replace("*", "www")
    return any(origin_matches(origin, trusted) for origin in _allowed_origins()) or any(
        re.match(pattern, example) for pattern in patterns
    )


def _is_own(origin: str) -> bool:
    """Whether it is the site's own, written down for a proxy that hides the scheme or the host."""
    return validate_host(_host(origin), settings.ALLOWED_HOSTS)


def _own_hosts() -> list[str]:
    """The names of ``ALLOWED_HOSTS``; none where it takes any."""
    if "*" in settings.ALLOWED_HOSTS:
        return []
    names = [host.lstrip(".").lower() for host in settings.ALLOWED_HOSTS]
    return [name for name in names if "." in name and not _is_address(name)]


def _common_domain(hosts: list[str]) -> str:
    labels = [host.split(".")[::-1] for host in hosts]
    common = [same[0] for same in zip(*labels, strict=False) if len(set(same)) == 1]
    return ".".join(common[::-1])


def _host(origin: str) -> str:
    return (urlsplit(origin).hostname or "").removeprefix("*").lstrip(".")


def _site(host: str) -> str:
    return ".".join(host.split(".")[-2:])


def _is_address(name: str) -> bool:
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _cors(name: str, former: str = "", *, default: Any) -> Any:
    return getattr(settings, name, getattr(settings, former, default) if former else default)
