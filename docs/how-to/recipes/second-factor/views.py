"""A login in two steps: the password, then a code from a device of django-otp, such as an
authenticator app (RFC 6238).
"""

import hmac
from hashlib import sha256

from django.contrib.auth import authenticate, get_user_model, user_logged_in, user_login_failed
from django.core import signing
from django.core.cache import cache
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from django_otp import devices_for_user, verify_token
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
    device = serializers.CharField(max_length=200)
    code = serializers.RegexField(r"\A[0-9a-z]{6,16}\Z")  # letters: a recovery code


class StepView(APIView):
    authentication_classes = ()  # a stale token in the header must not get in the way
    permission_classes = ()
    parser_classes = (JSONParser,)  # a form on another site can't send JSON

    def get_exception_handler(self):
        return exception_handler

    def token_response(self, user, *, password=None, claims=None):
        response = Response()
        issued = open_session(self.request, response, user, password=password, claims=claims)
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
        devices = [
            {"id": device.persistent_id, "name": device.name} for device in devices_for_user(user)
        ]
        if not devices:
            return self.token_response(user, password=password)  # amr: ["pwd"]
        # The hash ties the ticket to the password: after a change of it, the ticket is useless.
        ticket = signing.dumps([str(user.pk), user.get_session_auth_hash()], salt=SALT)
        body = {"ticket": ticket, "devices": devices}
        return Response(body, status=202, headers={"Cache-Control": "no-store"})


class CodeView(StepView):
    @sensitive_variables()
    def post(self, request):
        step = CodeStep(data=request.data)
        step.is_valid(raise_exception=True)
        user = user_of(step.validated_data["ticket"])
        device = device_of(user, step.validated_data["device"])
        is_allowed, why = device.verify_is_allowed()
        if not is_allowed:
            raise Throttled(wait=(why["locked_until"] - timezone.now()).total_seconds())
        # This locks the device's row, and accepts a code once.
        if verify_token(user, device.persistent_id, step.validated_data["code"]) is None:
            user_login_failed.send(
                sender=__name__,
                credentials={"username": user.get_username()},
                request=request._request,
            )
            raise LogInRefused
        return self.token_response(user, claims={"amr": ["pwd", "otp"]})


def user_of(ticket):
    try:
        key, password_hash = signing.loads(ticket, salt=SALT, max_age=WINDOW)
    except signing.BadSignature:
        raise LogInRefused from None
    user = get_user_model()._default_manager.filter(pk=key).first()
    if user is None or not hmac.compare_digest(user.get_session_auth_hash(), password_hash):
        raise LogInRefused
    return user


def device_of(user, device_id):
    """Return one of the user's confirmed devices."""
    for device in devices_for_user(user):
        if device.persistent_id == device_id:
            return device
    raise LogInRefused


def count(name, *, most):
    """Count an attempt. The cache has to count atomically, as Redis and Memcached do."""
    key = key_of("count", name)
    if cache.add(key, 1, WINDOW):
        return
    try:
        attempts = cache.incr(key)
    except ValueError:
        return  # the window has ended in between
    if attempts > most:
        raise Throttled(wait=WINDOW)


def key_of(*parts):
    # Hashed, because a user name may contain anything.
    return f"{SALT}:{sha256(repr(parts).encode()).hexdigest()}"
