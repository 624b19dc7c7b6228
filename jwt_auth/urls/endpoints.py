"""The list of endpoints, which ``jwt_auth.urls`` and ``jwt_auth.urls.body`` share."""

from __future__ import annotations

from django.urls import URLPattern, re_path

from jwt_auth.http.transports import Transport
from jwt_auth.http.views import account, gateway, login_and_refresh, one_time_tokens


def endpoints(transport: Transport) -> list[URLPattern]:
    """Return the URL patterns of all endpoints, whose refresh tokens travel by ``transport``."""
    views = {
        "login": (r"^login/?$", login_and_refresh.LoginView),
        "refresh": (r"^refresh/?$", login_and_refresh.RefreshView),
        "logout": (r"^logout/?$", login_and_refresh.LogoutView),
        "logout-all": (r"^logout-all/?$", account.LogoutAllView),
        "me": (r"^me/?$", account.MeView),
        "sessions": (r"^sessions/?$", account.SessionListView),
        "session": (r"^sessions/(?P<session_id>[^/]+)/?$", account.SessionView),
        "password-change": (r"^password/change/?$", account.PasswordChangeView),
        "password-reset": (r"^password/reset/?$", one_time_tokens.PasswordResetView),
        "password-reset-confirm": (
            r"^password/reset/confirm/?$",
            one_time_tokens.PasswordResetConfirmView,
        ),
        "email-send-confirmation": (
            r"^email/send-confirmation/?$",
            one_time_tokens.SendConfirmationView,
        ),
        "email-confirm": (r"^email/confirm/?$", one_time_tokens.EmailConfirmView),
        "verify": (r"^verify/?$", gateway.VerifyView),
    }
    return [
        re_path(pattern, view.as_view(transport=transport), name=name)
        for name, (pattern, view) in views.items()
    ]
