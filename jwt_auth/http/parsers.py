"""Request bodies: small, UTF-8, and nothing in one is worth a 500."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any, Final

from django.core.exceptions import RequestDataTooBig
from django.http.request import RawPostDataException
from rest_framework.exceptions import ParseError
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
from rest_framework.request import Request

from jwt_auth.encoding import InvalidJSON, parse_json_object
from jwt_auth.http.api_exceptions import BodyTooLarge

MAX_BYTES: Final = 16 * 1024

#: More than any honest Content-Length has.
_DIGITS: Final = 20

Context = Mapping[str, Any] | None


class ObjectParser(JSONParser):
    """A JSON object of unique names (RFC 7493 §2.3): of two equal ones a firewall may have judged
    the other.
    """

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Context = None
    ) -> dict[str, Any]:
        try:
            return parse_json_object(stream.read())
        except InvalidJSON:
            raise ParseError("The body must be a JSON object with unique names.") from None


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
    # By its digits first: Python refuses to make a number of thousands of them.
    if len(announced) > _DIGITS or int(announced) > MAX_BYTES:
        raise BodyTooLarge
    plain = request._request
    try:
        if len(plain.body) > MAX_BYTES:
            raise BodyTooLarge
    except RequestDataTooBig:
        raise BodyTooLarge from None
    except RawPostDataException:
        # A middleware has read it, no further than announced. REST framework takes the form that
        # Django has made of it, if only one was made.
        _ = plain.POST


def _utf8(context: Context) -> dict[str, Any]:
    # Whatever charset the Content-Type claims: Python knows some ("zlib") that are no text at all.
    return {**(context or {}), "encoding": "utf-8"}
