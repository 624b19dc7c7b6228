"""One list of endpoints for every transport."""

from __future__ import annotations

from django.urls import URLPattern, re_path

from jwt_auth.http.transports import Transport
from jwt_auth.http.views import account, sessions


def endpoints(transport: Transport) -> list[URLPattern]:
    """The URL patterns of all endpoints, with the refresh token travelling by ``transport``."""
    views = {
        "login": (r"^login/?$", sessions.LoginView),
        "refresh": (r"^refresh/?$", sessions.RefreshView),
        "logout": (r"^logout/?$", sessions.LogoutView),
        "logout-all": (r"^logout-all/?$", account.LogoutAllView),
        "me": (r"^me/?$", account.MeView),
        "sessions": (r"^sessions/?$", account.SessionListView),
        "session": (r"^sessions/(?P<session_id>[^/]+)/?$", account.SessionView),
        "password-change": (r"^password/change/?$", account.PasswordChangeView),
    }
    return [
        re_path(pattern, view.as_view(transport=transport), name=name)
        for name, (pattern, view) in views.items()
    ]
