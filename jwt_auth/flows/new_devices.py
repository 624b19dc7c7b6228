"""Tell the project's ``JWT_AUTH_NEW_DEVICE_HOOK`` of a login from a device that is new to the user.

The login doesn't wait for this: it runs where messages are composed and sent
(:mod:`jwt_auth.mail.dispatch`). A user agent proves nothing, so this is a help for the user whose
password was stolen, and no defence.
"""

from __future__ import annotations

from typing import Final

from django.db.models import Max
from django.utils.module_loading import import_string

from jwt_auth.conf import conf
from jwt_auth.devices import parse_device
from jwt_auth.models import RefreshTokenFamily
from jwt_auth.users import is_hidden

#: How many different user agents of a user are looked at, those of the newest sessions first. A
#: user can open any number of sessions, and a made-up user agent takes milliseconds to be named.
_COMPARED: Final = 200


def report_new_device(*, user_id: str, session_id: str) -> None:
    """Call the hook if the user has opened sessions before this one, but none on this device.

    Nothing happens if the session or the user is gone, or if the user is inactive by now. It
    doesn't matter whether the session has ended: a thief may have logged out again.
    """
    sessions = RefreshTokenFamily.objects.deciding().select_related("user")
    session = sessions.filter(pk=session_id, user_id=user_id).first()
    if session is None or not session.user.is_active or is_hidden(session.user_id):
        return
    if conf.new_device_hook is not None and is_from_new_device(session):
        import_string(conf.new_device_hook)(session.user, session)


def is_from_new_device(session: RefreshTokenFamily) -> bool:
    """Whether a session is not the user's first one, and the first one on its device.

    Only sessions that were opened before count. Otherwise a thief who logs in twice at the same
    time would find each of the two sessions known by the other one.
    """
    earlier = RefreshTokenFamily.objects.deciding().filter(
        user_id=session.user_id, created_at__lt=session.created_at
    )
    newest = earlier.values("user_agent").annotate(newest=Max("created_at")).order_by("-newest")
    known = list(newest.values_list("user_agent", flat=True)[:_COMPARED])
    device = _device(session.user_agent)
    return bool(known) and all(_device(user_agent) != device for user_agent in known)


def _device(user_agent: str) -> tuple[str, str]:
    """What stays the same when a browser or a system is updated; otherwise the user agent."""
    browser, system = parse_device(user_agent)
    return (browser, system) if browser or system else (user_agent, "")
