"""The notice of a login on a device that is new to the user.

A project names :func:`send_notice` in ``JWT_AUTH_NEW_DEVICE_HOOK``.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from django.contrib.auth.base_user import AbstractBaseUser
from django.utils.timezone import localtime

from jwt_auth.conf import conf
from jwt_auth.devices import device_name
from jwt_auth.mail import composing
from jwt_auth.models import RefreshTokenFamily
from jwt_auth.users import address_of

#: The length of the prefix that names a network, by the version of the address.
_PREFIXES: Final = {4: 24, 6: 48}


def send_notice(user: AbstractBaseUser, session: RefreshTokenFamily) -> None:
    """Mail the user the device, the time and the network of a login, and what to do about it.

    It has no link with a token: a person who expects such links in notices would also follow the
    one in a forged notice.
    """
    if not address_of(user):
        return
    context = {
        "device": device_name(session.user_agent),
        "time": localtime(session.created_at),
        "network": _network_of(session.ip_address),
        "session": session,
        **_site(),
    }
    composing.send("new_device", user, context)


def _network_of(address: str | None) -> str:
    """Name the network: the exact address means little to the user, and shouldn't be in a mailbox.

    It is the /24 of an IPv4 address, the /48 of an IPv6 one, about a provider's or an office's.
    """
    if address is None:
        return ""
    parsed = ip_address(address)
    return str(ip_network((parsed, _PREFIXES[parsed.version]), strict=False))


def _site() -> dict[str, str]:
    page = conf.password_reset_url or conf.email_confirmation_url
    if page is not None:
        return composing.site_context(page)
    # The issuer is an address or a name. Its host may have no page to show to a person.
    return {"site": urlsplit(conf.issuer).hostname or conf.issuer, "site_url": ""}
