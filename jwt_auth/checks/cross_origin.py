"""Front ends on other origins: CORS, CSRF's trusted origins and the cookies' attributes must agree.

These checks read the settings of django-cors-headers by their names, with that package's defaults,
whether or not it is installed. Browsers use the Public Suffix List to decide which hosts belong to
one *site*. These checks take two hosts for one site if their last two labels are the same.
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

from jwt_auth.check_messages import setting_line, warning
from jwt_auth.conf import conf
from jwt_auth.http.origins import is_trusted_origin, origin_matches

#: The headers that django-cors-headers allows by default.
DEFAULT_HEADERS: Final = (
    *("accept", "authorization", "content-type", "user-agent"),
    *("x-csrftoken", "x-requested-with"),
)


def check_cross_origin() -> Iterator[CheckMessage]:
    yield from _check_domain()
    if _sends_cookies():
        yield from _check_cors()
    yield from _check_sites()


def _check_cors() -> Iterator[CheckMessage]:
    """Check the settings of CORS, which lets pages of other origins send the user's cookies."""
    if _cors("CORS_ALLOW_ALL_ORIGINS", "CORS_ORIGIN_ALLOW_ALL", default=False):
        yield warning(
            "W062",
            "CORS lets the pages of every site send the user's cookies and read the answers.",
            "Remove CORS_ALLOW_ALL_ORIGINS, and write the front end's origins into "
            "CORS_ALLOWED_ORIGINS",
        )
    else:
        yield from _check_origins()
    allowed = {name.lower() for name in _cors("CORS_ALLOW_HEADERS", default=DEFAULT_HEADERS)}
    missing = [name for name in _needed_headers() if name.lower() not in allowed]
    if missing:
        yield warning(
            "W066",
            f"CORS does not let a front end send {' and '.join(missing)}.",
            f"Write {', '.join(repr(name.lower()) for name in missing)} into CORS_ALLOW_HEADERS, "
            "in addition to corsheaders.defaults.default_headers",
        )
    exposed = {name.lower() for name in _cors("CORS_EXPOSE_HEADERS", default=())}
    if "www-authenticate" not in exposed:
        yield warning(
            "W052",
            "CORS does not let a front end read WWW-Authenticate, so it can't tell a refused "
            "access token from another 401 of the application.",
            "Write 'WWW-Authenticate' into CORS_EXPOSE_HEADERS",
        )
    if "retry-after" not in exposed:
        yield warning(
            "W069",
            "CORS does not let a front end read Retry-After, so it can't tell how long a throttled "
            "login has to wait.",
            "Write 'Retry-After' into CORS_EXPOSE_HEADERS",
        )


def _check_origins() -> Iterator[CheckMessage]:
    for origin in _allowed_origins():
        if not is_trusted_origin(origin) and not _is_own(origin):
            yield warning(
                "W063",
                f"CORS lets {origin} send cookies, but CSRF_TRUSTED_ORIGINS lacks it: login, "
                "refresh and logout from there are refused.",
                f'Write "{origin}" into CSRF_TRUSTED_ORIGINS',
            )
    for origin in settings.CSRF_TRUSTED_ORIGINS:
        if not _is_allowed(origin) and not _is_own(origin):
            yield warning(
                "W064",
                f"CSRF_TRUSTED_ORIGINS has {origin}, but CORS does not let it read any answer.",
                f'Write "{origin}" into CORS_ALLOWED_ORIGINS if it is a front end. Otherwise '
                "remove it from CSRF_TRUSTED_ORIGINS.",
            )


def _check_sites() -> Iterator[CheckMessage]:
    """Browsers send a cookie with SameSite from pages of the same site only, whatever CORS says."""
    if conf.refresh_cookie_samesite == "None":
        return
    own = {_site(host) for host in _own_hosts()}
    if not own:
        return
    samesite = conf.refresh_cookie_samesite
    for origin in dict.fromkeys((*settings.CSRF_TRUSTED_ORIGINS, *_credentialed_origins())):
        if _site(_host(origin)) not in own:
            yield warning(
                "W065",
                f"{origin} is on a different site from ALLOWED_HOSTS: browsers send no cookie from "
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
        yield warning(
            "W068",
            f"JWT_AUTH_REFRESH_COOKIE_DOMAIN is {domain}, but no host of ALLOWED_HOSTS is under "
            "it: browsers refuse the cookies.",
            setting_line("REFRESH_COOKIE_DOMAIN"),
        )
    elif (common := _common_domain(under)) != domain:
        yield warning(
            "W067",
            f"With JWT_AUTH_REFRESH_COOKIE_DOMAIN, browsers send the cookies to every subdomain of "
            f"{domain}, but all hosts of ALLOWED_HOSTS are under {common}. A front end on another "
            "subdomain works without a domain.",
            setting_line("REFRESH_COOKIE_DOMAIN"),
        )


def _needed_headers() -> list[str]:
    csrf = settings.CSRF_HEADER_NAME.removeprefix("HTTP_").replace("_", "-").title()
    return ["Authorization", "Idempotency-Key", *([csrf] if conf.access_cookie_name else [])]


def _sends_cookies() -> bool:
    """Tell whether the middleware of CORS is there and lets requests carry cookies."""
    is_there = any(name.startswith("corsheaders.") for name in settings.MIDDLEWARE)
    return is_there and bool(_cors("CORS_ALLOW_CREDENTIALS", default=False))


def _credentialed_origins() -> tuple[str, ...]:
    return _allowed_origins() if _sends_cookies() else ()


def _allowed_origins() -> tuple[str, ...]:
    return tuple(_cors("CORS_ALLOWED_ORIGINS", "CORS_ORIGIN_WHITELIST", default=()))


def _is_allowed(trusted: str) -> bool:
    """Tell whether CORS allows an entry of ``CSRF_TRUSTED_ORIGINS``."""
    patterns: Iterable[Any] = _cors(
        "CORS_ALLOWED_ORIGIN_REGEXES", "CORS_ORIGIN_REGEX_WHITELIST", default=()
    )
    # A wildcard stands for any subdomain; one example is enough to try the patterns.
    example = trusted.replace("*", "www")
    return any(origin_matches(origin, trusted) for origin in _allowed_origins()) or any(
        re.match(pattern, example) for pattern in patterns
    )


def _is_own(origin: str) -> bool:
    """Tell whether it is this site itself, listed because a proxy hides the scheme or the host."""
    return validate_host(_host(origin), settings.ALLOWED_HOSTS)


def _own_hosts() -> list[str]:
    """Give the names in ``ALLOWED_HOSTS``; an empty list if it accepts any."""
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
