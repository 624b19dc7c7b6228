"""An adapter of django-allauth whose logins and sign-ups open a session of jwt_auth."""

import time

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.authentication import get_authentication_records

from jwt_auth.sessions import open_session

# allauth's names of methods, and those of RFC 8176. Other methods, such as a social account or a
# code by mail, have none: a code by mail must not pass for the "otp" of a second factor.
NAMES = {"password": "pwd", "totp": "otp", "recovery_codes": "otp", "webauthn": "swk"}
LAST_LOGIN = "last_allauth_login"


class TokenAccountAdapter(DefaultAccountAdapter):
    def post_login(self, request, user, **kwargs):
        response = super().post_login(request, user, **kwargs)
        methods = methods_of_login(request, user)
        open_session(request, response, user, claims={"amr": methods} if methods else None)
        return response


def methods_of_login(request, user):
    """List the methods by which the user has just logged in, each one once."""
    # Django's session can have records of an earlier login, and of a password that was asked for
    # again since then.
    last_login = request.session.get(LAST_LOGIN, 0)
    request.session[LAST_LOGIN] = time.time()
    records = [
        record
        for record in get_authentication_records(request, user)
        if record["at"] > last_login and not record.get("reauthenticated")
    ]
    used = [record["type"] if record["method"] == "mfa" else record["method"] for record in records]
    return list(dict.fromkeys(NAMES[method] for method in used if method in NAMES))
