"""Have each login compared with the user's earlier ones, outside of the request that logs in."""

from __future__ import annotations

from typing import Any

from django.utils.translation import get_language

from jwt_auth.conf import conf
from jwt_auth.mail.dispatch import dispatch
from jwt_auth.models import RefreshTokenFamily


def compare_login(*, family: RefreshTokenFamily, **kwargs: Any) -> None:
    """Dispatch the comparison if ``JWT_AUTH_NEW_DEVICE_HOOK`` is set (``session_opened``)."""
    if conf.new_device_hook is not None:
        dispatch(
            "new_device",
            user_id=str(family.user_id),
            session_id=str(family.pk),
            language=get_language() or "",
        )
