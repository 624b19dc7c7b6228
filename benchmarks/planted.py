"""A dispatcher that takes longer for addresses that have an account, as a faulty one would."""

from __future__ import annotations

import os
from time import perf_counter

from django.utils.module_loading import import_string

#: How the addresses of accounts begin.
KNOWN = "known"

#: The environment variable with the difference in microseconds.
VARIABLE = "PLANTED_MICROSECONDS"


def dispatch(kind: str, **arguments: str) -> None:
    """Hand the message over, and then compute for a while if the address has an account."""
    # By its name: the client imports this module, too, and it has no settings.
    import_string("jwt_auth.mail.dispatch.in_thread")(kind, **arguments)
    end = perf_counter() + int(os.environ[VARIABLE]) / 1e6
    while arguments["address"].startswith(KNOWN) and perf_counter() < end:
        pass
