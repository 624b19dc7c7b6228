"""The example project's URLs, the test's page, and what a careless or hostile server may serve."""

from __future__ import annotations

import json
import logging
import os
import secrets
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
)
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

from jwt_auth.http.api_exceptions import INVALID_TOKEN_CHALLENGE
from jwt_auth.signals import reuse_detected

HERE = Path(__file__).parent

logger = logging.getLogger("jwt_auth.stage")


def page(request: HttpRequest) -> HttpResponse:
    """Serve the page under the policy that docs/how-to/single-page-app.md recommends."""
    response = HttpResponse((HERE / "page.html").read_text())
    response["Content-Security-Policy"] = (
        "default-src 'none'; script-src 'self'; connect-src 'self' https://*.localhost:*; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    return response


def script(request: HttpRequest) -> FileResponse:
    """Serve the page's script."""
    return FileResponse((HERE / "page.js").open("rb"), content_type="text/javascript")


def empty(request: HttpRequest) -> HttpResponse:
    """Serve a page without a script, as a start for what another page does."""
    return HttpResponse("<!doctype html><title>Empty</title>")


@csrf_exempt
def user(request: HttpRequest) -> JsonResponse:
    """Make a user whom no other test has."""
    asked = json.loads(request.body)
    name = f"user-{secrets.token_hex(6)}"
    made = get_user_model().objects.create_user(
        name, f"{name}@example.test", asked["password"], tenant=asked["tenant"]
    )
    made.groups.set(Group.objects.get_or_create(name=group)[0] for group in asked["groups"])
    return JsonResponse({"username": name})


@csrf_exempt
def echo(request: HttpRequest) -> HttpResponse:
    """Say what has arrived; with `?once=NAME` the first token of that name is refused."""
    answer = JsonResponse(
        {
            "method": request.method,
            "authorization": request.headers.get("Authorization"),
            "type": request.headers.get("Content-Type"),
            "body": request.body.decode("utf-8", "replace"),
        }
    )
    name = request.GET.get("once")
    if name and _is_first(name):
        answer.status_code = 401
        answer["WWW-Authenticate"] = INVALID_TOKEN_CHALLENGE
    # Any origin may ask and read: what is tested is what browsers and the client hold back.
    answer["Access-Control-Allow-Origin"] = request.headers.get("Origin", "*")
    answer["Access-Control-Allow-Credentials"] = "true"
    answer["Access-Control-Allow-Headers"] = "authorization, content-type"
    return answer


@csrf_exempt
def away(request: HttpRequest) -> HttpResponse:
    """Redirect to wherever the query says, as an open redirect does."""
    answer = HttpResponseRedirect(request.GET["to"], preserve_request=True)
    answer["Access-Control-Allow-Origin"] = "*"
    return answer


def _is_first(name: str) -> bool:
    try:
        (Path(os.environ["STAGE_FAULTS"]) / f"seen-{name}").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _note(**named: Any) -> None:
    logger.warning("the signal reuse_detected was sent for %s", named["family"].pk)


reuse_detected.connect(_note, dispatch_uid="stage")

urlpatterns = [
    path("stage/", page),
    path("stage/page.js", script),
    path("stage/empty/", empty),
    path("stage/user/", user),
    path("stage/echo/", echo),
    path("stage/away/", away),
    path("", include("example_project.urls")),
]
