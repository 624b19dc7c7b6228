"""Middleware that knows the user of an access token before the view runs."""

from django.contrib.auth.models import AnonymousUser
from django.utils.functional import SimpleLazyObject
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from jwt_auth.authentication import JWTAuthentication


def token_user_middleware(get_response):
    def middleware(request):
        request.token_user = SimpleLazyObject(lambda: user_of(request))
        return get_response(request)

    return middleware


def user_of(request):
    try:
        found = JWTAuthentication().authenticate(Request(request))
    except APIException:  # a refused token, say: the view answers it, where one is needed
        found = None
    return AnonymousUser() if found is None else found[0]
