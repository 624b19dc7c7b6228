"""A login in two steps: the password, then a code from the user's authenticator app (RFC 6238)."""

import base64
import hmac
import time
from hashlib import sha256

from django.contrib.auth import authenticate, get_user_model, user_logged_in
from django.core import signing
from django.core.cache import cache
from django.views.decorators.debug import sensitive_variables
from rest_framework import serializers
from rest_framework.exceptions import Throttled
from rest_framework.parsers import JSONParser
from rest_framework.response import Response
from rest_framework.views import APIView

from jwt_auth.exceptions import LogInRefused
from jwt_auth.http.exception_handler import exception_handler
from jwt_auth.sessions import open_session

SALT = "mysite.second-factor"
WINDOW = 300  # seconds: how long a ticket is valid, and how long attempts count


class PasswordStep(serializers.Serializer):
    username = serializers.CharField(max_length=254)
    password = serializers.CharField(max_length=4096, trim_whitespace=False)


class CodeStep(serializers.Serializer):
    ticket = serializers.CharField(max_length=1000)
    code = serializers.RegexField(r"\A[0-9]{6}\Z")


class StepView(APIView):
    authentication_classes = ()  # a stale token in the header must not get in the way
    permission_classes = ()
    parser_classes = (JSONParser,)  # a form on another site can't send JSON

    def get_exception_handler(self):
        return exception_handler

    def token_response(self, user, password=None):
        response = Response()
        issued = open_session(self.request, response, user, password=password)
        response.data = {
            "access_token": issued.access_token.text,
            "token_type": "Bearer",
            "expires_in": issued.access_token.expires_in,
        }
        user_logged_in.send(sender=type(user), request=self.request._request, user=user)
        return response


class LoginView(StepView):
    @sensitive_variables()
    def post(self, request):
        step = PasswordStep(data=request.data)
        step.is_valid(raise_exception=True)
        count(("address", request.META["REMOTE_ADDR"]), most=100)
        username = get_user_model().normalize_username(step.validated_data["username"])
        password = step.validated_data["password"]
        count(("name", username.casefold()), most=20)
        user = authenticate(request._request, username=username, password=password)
        if user is None:
            raise LogInRefused
        if not user.totp_secret:
            return self.token_response(user, password)
        # The hash ties the ticket to the password: after a change of it, the ticket is useless.
        ticket = signing.dumps([str(user.pk), user.get_session_auth_hash()], salt=SALT)
        return Response({"ticket": ticket}, status=202, headers={"Cache-Control": "no-store"})


class CodeView(StepView):
    @sensitive_variables()
    def post(self, request):
        step = CodeStep(data=request.data)
        step.is_valid(raise_exception=True)
        user = user_of(step.validated_data["ticket"])
        # By user, not by ticket: an attacker who knows the password can get any number of tickets.
        count(("code", user.pk), most=5)
        number = find_time_step(user.totp_secret, step.validated_data["code"], now=time.time())
        # Each code counts once: an onlooker must not log in with it (RFC 6238, section 5.2).
        if number is None or not cache.add(key_of("used", user.pk, number), 1, WINDOW):
            raise LogInRefused
        return self.token_response(user)


def user_of(ticket):
    try:
        key, password_hash = signing.loads(ticket, salt=SALT, max_age=WINDOW)
    except signing.BadSignature:
        raise LogInRefused from None
    user = get_user_model()._default_manager.filter(pk=key).first()
    if user is None or not hmac.compare_digest(user.get_session_auth_hash(), password_hash):
        raise LogInRefused
    return user


def find_time_step(secret, code, *, now):
    """Return the number of the half minute that the code is for; one early or late is accepted."""
    present = int(now // 30)
    steps = (present, present - 1, present + 1)
    return next((step for step in steps if hmac.compare_digest(code_of(secret, step), code)), None)


def code_of(secret, step):
    digest = hmac.digest(base64.b32decode(secret), step.to_bytes(8, "big"), "sha1")
    start = digest[-1] & 15
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"


def count(name, *, most):
    """Count an attempt. The cache has to count atomically, as Redis and Memcached do."""
    key = key_of("count", name)
    cache.add(key, 0, WINDOW)
    if cache.incr(key) > most:
        raise Throttled(wait=WINDOW)


def key_of(*parts):
    # Hashed, because a user name may contain anything.
    return f"{SALT}:{sha256(repr(parts).encode()).hexdigest()}"
