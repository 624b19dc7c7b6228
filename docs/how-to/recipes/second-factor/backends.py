"""An authentication backend that also asks for a solved captcha at jwt_auth's login endpoint."""

from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied


class CaptchaBackend(ModelBackend):
    def authenticate(self, request, username=None, password=None, **kwargs):
        if is_api_login(request) and not is_solved(request.headers.get("X-Captcha", "")):
            raise PermissionDenied  # no other backend is asked
        return super().authenticate(request, username=username, password=password, **kwargs)


def is_api_login(request):
    """Whether this is the endpoint, and not the admin's form, a test or a command."""
    match = getattr(request, "resolver_match", None)
    if match is None or match.url_name != "login":
        return False
    # The names of the applications: a project can choose other names for their namespaces.
    return not {"jwt_auth", "jwt_auth_body"}.isdisjoint(match.app_names)


def is_solved(answer):
    """Ask your captcha's service. This stands for it."""
    return answer == "solved"
