"""The page at `/`."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

# Only the site's own files: an injected script finds nothing that would run it. `frame-ancestors`,
# `form-action` and `base-uri` do not fall back to `default-src` (CSP Level 3, section 6).
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Show the log-in form and the buttons; the script does the rest."""
    response = render(request, "demo/page.html")
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response
