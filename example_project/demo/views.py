"""The page at `/`."""

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

HEADERS = {
    # Nothing but the site's own files: an injected script finds nothing that would run it, and what
    # runs all the same can send to nobody else. `base-uri`, `form-action` and `frame-ancestors` do
    # not fall back to `default-src` (CSP Level 3, section 6). With trusted types a browser refuses
    # text where HTML or a script is written into the page; the page's own scripts write neither.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        " connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none';"
        " require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Resource-Policy": "same-origin",
    # The file names of the scripts change with a deployment: ask each time whether they have.
    "Cache-Control": "no-cache",
}


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Show the page; it is the same for everybody, its script does the rest.

    Django's SecurityMiddleware adds `nosniff`, the referrer and the opener policy.
    """
    return HttpResponse(render_to_string("demo/page.html", request=request), headers=HEADERS)
