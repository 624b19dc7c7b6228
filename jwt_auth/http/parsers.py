"""Parsers for request bodies, which are small and in UTF-8. No body may cause a 500."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any, Final

from django.core.exceptions import RequestDataTooBig
from django.http.request import RawPostDataException
from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
from rest_framework.request import Request

from jwt_auth.encoding import InvalidJSON, parse_json_object
from jwt_auth.http.api_exceptions import BodyTooLarge

MAX_BYTES: Final = 16 * 1024

#: More digits than any genuine Content-Length has.
_DIGITS: Final = 20

Context = Mapping[str, Any] | None


class ObjectParser(JSONParser):
    """Parse a JSON object with unique names (RFC 7493 §2.3).

    If a name appears twice, a firewall in front may have checked the value that is ignored here.
    """

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Context = None
    ) -> dict[str, Any]:
        try:
            return parse_json_object(stream.read())
        except InvalidJSON:
            raise ParseError(_("The body must be a JSON object with unique names.")) from None


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
        BodyTooLarge: the announced or the actual length exceeds the limit.
        ParseError: the announced length is not a number.
    """
    announced = request.META.get("CONTENT_LENGTH") or "0"
    if not announced.isdecimal():
        raise ParseError(_("Content-Length is not a number."))
    # The number of digits first: int() raises ValueError for thousands of digits.
    if len(announced) > _DIGITS or int(announced) > MAX_BYTES:
        raise BodyTooLarge
    plain = request._request
    try:
        if len(plain.body) > MAX_BYTES:
            raise BodyTooLarge
    except RequestDataTooBig:
        raise BodyTooLarge from None
    except RawPostDataException:
        # Middleware has already read the body, up to the announced length. REST framework then
        # uses the form data that Django has parsed from it, so make Django parse it.
        plain.POST  # noqa: B018  reading it makes Django parse the body


def _utf8(context: Context) -> dict[str, Any]:
    # Ignore the charset that Content-Type names: some of Python's codecs aren't for text ("zlib").
    return {**(context or {}), "encoding": "utf-8"}
