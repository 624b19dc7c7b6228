"""Serve Swagger UI at `/api/docs/`, from this site's own files."""

from typing import Any

from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.response import Response

#: Swagger UI draws its icons from `data:` addresses. Trusted types would stop its descriptions.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class DocsView(SpectacularSwaggerSplitView):
    """The page, and its script with `?script`."""

    template_name = "demo/docs.html"

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Answer as the base class, with the policy."""
        response: Response = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]  # it has no annotations
        response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return response
