"""Serve the page at `/`, with its security headers."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from example_project.demo.accounts import ACCOUNTS, PASSWORD

HEADERS = {
    # Only the site's files are loaded: the browser runs no injected script, and a script that runs
    # all the same can send data to this site only. `base-uri`, `form-action` and `frame-ancestors`
    # do not fall back to `default-src` (CSP Level 3, section 6). With trusted types, the browser
    # refuses to turn a string into HTML or a script; the page's scripts never do that.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        " connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none';"
        " require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Resource-Policy": "same-origin",
    # A deployment may change the scripts' file names, so the browser must ask each time.
    "Cache-Control": "no-cache",
    # Whatever language LocaleMiddleware has found: the page is in English only.
    "Content-Language": "en",
}


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Serve the page, which is the same for all visitors: its script does the rest.

    Django's SecurityMiddleware adds `nosniff`, the referrer and the opener policy.
    """
    # `manage.py demo` creates these accounts, and only with DEBUG on.
    accounts = {"accounts": ACCOUNTS, "password": PASSWORD} if settings.DEBUG else {}
    context = {**accounts, "prints_mail": settings.PRINTS_MAIL}
    return HttpResponse(render_to_string("demo/page.html", context, request), headers=HEADERS)
