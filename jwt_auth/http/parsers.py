"""Request bodies: small, UTF-8, and nothing in one is worth a 500."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any, Final

from django.core.exceptions import RequestDataTooBig
from rest_framework.exceptions import ParseError
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
from rest_framework.request import Request

from jwt_auth.http.problems import BodyTooLarge

MAX_BYTES: Final = 16 * 1024

Context = Mapping[str, Any] | None


class ObjectParser(JSONParser):
    """A JSON object; REST framework's parser lets deep nesting and other values through to where
    they fail.
    """

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Context = None
    ) -> dict[str, Any]:
        try:
            data = super().parse(stream, media_type, _utf8(parser_context))
        except RecursionError:
            raise ParseError("The JSON is nested too deeply.") from None
        if not isinstance(data, dict):
            raise ParseError("The body must be a JSON object.")
        return data


class Utf8FormParser(FormParser):
    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Context = None
    ) -> Any:
        return super().parse(stream, media_type, _utf8(parser_context))


class Utf8MultiPartParser(MultiPartParser):
    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Context = None
    ) -> Any:
        return super().parse(stream, media_type, _utf8(parser_context))


PARSERS: Final = (ObjectParser, Utf8FormParser, Utf8MultiPartParser)


def refuse_large_body(request: Request) -> None:
    """Refuse a body over 16 KiB before it is parsed.

    Raises:
        BodyTooLarge: by its announced or by its real length.
    """
    announced = request.META.get("CONTENT_LENGTH") or "0"
    if not announced.isdecimal():
        raise ParseError("Content-Length is not a number.")
    if int(announced) > MAX_BYTES:
        raise BodyTooLarge
    try:
        if len(request._request.body) > MAX_BYTES:
            raise BodyTooLarge
    except RequestDataTooBig:
        raise BodyTooLarge from None


def _utf8(context: Context) -> dict[str, Any]:
    # Whatever charset the Content-Type claims: Python knows some ("zlib") that are no text at all.
    return {**(context or {}), "encoding": "utf-8"}
