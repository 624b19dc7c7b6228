"""Messages: whether they can be handed over, composed and sent."""

from __future__ import annotations

from collections.abc import Iterator

from django.core.checks import CheckMessage
from django.utils.module_loading import import_string

from jwt_auth.check_messages import setting_error
from jwt_auth.conf import conf


def check_mail_dispatcher() -> Iterator[CheckMessage]:
    path = conf.mail_dispatcher
    try:
        found, reason = import_string(path), "which isn't callable"
    except ImportError as error:
        # It names a module, or the package to install.
        found, reason = None, f"which can't be imported: {error}"
    except Exception as error:  # noqa: BLE001  from anything that the module does
        found, reason = None, f"which can't be imported: {type(error).__name__}"
    if not callable(found):
        yield setting_error("E108", "MAIL_DISPATCHER", f"is {path!r}, {reason}.")
