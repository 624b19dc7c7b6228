"""Tell services that share neither database nor Redis with us what has been revoked lately."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from jwt_auth.conf import conf
from jwt_auth.http.views.base import ServiceView
from jwt_auth.revocation.denials import serialize
from jwt_auth.revocation.published import find_denials


class FeedOff(APIException):
    """An answer without denials would let revoked tokens in."""

    status_code = status.HTTP_404_NOT_FOUND
    default_detail = _("Revocations are not recorded here: set JWT_AUTH_DENY_FEED = True.")
    default_code = "feed_off"


class DenialsView(ServiceView):
    """Everything in force, at each request: the answer is never compared with an earlier one."""

    route = "denials/"

    def get(self, request: Request, **kwargs: Any) -> Response:
        if not conf.deny_feed:
            raise FeedOff
        return Response(serialize(find_denials(self.now)))
