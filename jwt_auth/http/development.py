"""What a developer has to change when a browser's request is refused, for answers with DEBUG on.

The headers are the client's, so an answer quotes only an origin that is written as browsers do.
"""

from __future__ import annotations

import re
from typing import Final

from django.conf import settings

from jwt_auth.documentation import address

#: Scheme, host and port (RFC 6454 §6.2), in the characters that browsers use for them.
_ORIGIN: Final = re.compile(
    r"[a-z][a-z0-9+.-]{0,30}://(?:[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?"
)


def explain_origin(origin: str | None) -> str:
    """Say which page's request this API doesn't trust, and what to write if it should."""
    if origin is None:
        problem = "It has no Origin header, so the page is unknown."
    elif origin == "null":
        problem = (
            'Its Origin is "null": the page is a file or in a sandbox, or the request was '
            "redirected. Serve the page from a web server."
        )
    elif _ORIGIN.fullmatch(origin):
        problem = (
            f"The page is at {origin}, which this API doesn't trust. If it is your front end, "
            f'write CSRF_TRUSTED_ORIGINS = ["{origin}"].'
        )
    else:
        problem = "Its Origin header is malformed."
    return f"{problem} See {address('reference/errors', 'cross-site-request')}"


def explain_csrf_refusal(reason: str) -> str:
    """Give the reason of Django's check, without the header that it may quote."""
    remedy = ""
    if reason.startswith("CSRF"):  # otherwise the origin or the referrer is wrong
        header = settings.CSRF_HEADER_NAME.removeprefix("HTTP_").replace("_", "-").title()
        remedy = f" Send csrf_token from the token response in the header {header}."
    said = reason.partition(" - ")[0].rstrip(".")
    return f"Django's check says: {said}.{remedy} See {address('reference/errors', 'csrf-failed')}"
