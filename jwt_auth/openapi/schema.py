"""Describe one operation, from the table of endpoints and what the project has set."""

from __future__ import annotations

from typing import Any, Final
from weakref import WeakKeyDictionary

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ComponentRegistry, ResolvedComponent
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiRequest, OpenApiResponse
from rest_framework import status

from jwt_auth.conf import conf
from jwt_auth.http.api_exceptions import REALM
from jwt_auth.openapi import authentication, bodies
from jwt_auth.openapi.bodies import Body
from jwt_auth.openapi.endpoints import ENDPOINTS, Endpoint
from jwt_auth.openapi.responses import (
    DESCRIPTIONS,
    refusal_example,
    refusal_schema,
    refusals_of,
)
from jwt_auth.openapi.schemas import TEXT, Schema
from jwt_auth.revocation.base import keeps_sessions

_JSON: Final = "application/json"
_PARSED: Final = (_JSON, "application/x-www-form-urlencoded", "multipart/form-data")

#: Of the public documents' paths.
_OTHER_SPELLINGS: Final = (".json/", "{issuer_path}")

#: The path that each operation id stands for, in one run of the generator.
_paths_by_id: WeakKeyDictionary[ComponentRegistry, dict[str, str]] = WeakKeyDictionary()


class EndpointSchema(AutoSchema):
    """The schema of one endpoint at one mount.

    Only documented methods of drf-spectacular are overridden, so that a project's own
    ``@extend_schema`` on a subclass of a view still has the last word.
    """

    @property
    def endpoint(self) -> Endpoint | None:
        """What the table says; ``None`` for a method that only answers like another one."""
        return ENDPOINTS.get((getattr(self.view, "route", ""), self.method))

    @property
    def _found(self) -> Endpoint:
        endpoint = self.endpoint
        assert endpoint is not None  # noqa: S101  # otherwise the operation is excluded
        return endpoint

    @property
    def _is_ambient(self) -> bool:
        transport = getattr(self.view, "transport", None)
        return transport is None or transport.is_ambient

    def is_excluded(self) -> bool:
        """Leave out what the table doesn't name, and what has no use in a verifying service."""
        if (
            self.endpoint is None
            or self.endpoint.is_off()
            or self.path.endswith((".json/", "{issuer_path}"))
        ):
            return True
        return getattr(self.view, "needs_sessions", False) and not keeps_sessions()

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: ComponentRegistry
    ) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(
            path, path_regex, path_prefix, method, registry
        )
        if operation is None:
            return None
        if "requestBody" in operation and not self._takes_optional_body():
            operation["requestBody"]["required"] = True
        success = operation["responses"].get("200")
        links = self._links(operation["operationId"])
        if success is not None and links:
            success["links"] = links
        return operation

    # Names

    def get_operation_id(self) -> str:
        """Return a short name; a longer one, with the path, at the second mount of a kind."""
        name = self._short_id(self._found)
        paths = _paths_by_id.setdefault(self.registry, {})
        if paths.setdefault(name, self.path) == self.path:
            return name
        return str(super().get_operation_id())

    def _short_id(self, endpoint: Endpoint) -> str:
        return (
            f"auth_{endpoint.operation}" if self._is_ambient else f"auth_body_{endpoint.operation}"
        )

    def get_tags(self) -> list[str]:
        if self._found.credential == "service":
            return ["auth (services)"]
        return ["auth"] if self._is_ambient else ["auth (body)"]

    def get_summary(self) -> str:
        return self._found.summary

    def get_description(self) -> str:  # type: ignore[override]  # as in drf-spectacular
        return self._found.description

    # Request

    def get_auth(self) -> list[dict[str, list[str]]]:
        requirements = [found for found in super().get_auth() if found]
        cookie: list[dict[str, list[str]]] = []
        if self._found.credential in {"refresh", "any"} and self._is_ambient:
            authentication.register(authentication.REFRESH_COOKIE, self.registry)
            cookie = [{authentication.REFRESH_COOKIE: []}]
        if self._found.credential == "any":
            authentication.register(authentication.BEARER, self.registry)
            return [*cookie, {authentication.BEARER: []}, {}]
        return [*requirements, *cookie] or [{}]

    def get_override_parameters(self) -> list[Any]:
        endpoint = self._found
        parameters = [
            _parameter(
                name,
                schema,
                description,
                location="path" if f"{{{name}}}" in self.path else "query",
            )
            for name, (description, schema) in endpoint.parameters.items()
        ]
        if endpoint.takes_retry_key:
            what = "A value that only a repetition of this very request has, such as a UUID."
            parameters.append(_parameter("Idempotency-Key", TEXT, what, location="header"))
        return [*parameters, *self._response_headers()]

    def get_request_serializer(self) -> Any:
        body = self._request_body()
        if body is None:
            return {}
        media_types = [body.media_type] if body.media_type else _PARSED
        example = OpenApiExample(body.name, value=body.example, request_only=True)
        return {
            media_type: OpenApiRequest(self._schema_of(body), examples=[example])
            for media_type in media_types
        }

    def _request_body(self) -> Body | None:
        endpoint = self._found
        if endpoint.credential in {"refresh", "any"} and not self._is_ambient:
            return bodies.REFRESH
        return endpoint.takes

    def _takes_optional_body(self) -> bool:
        return self._found.credential == "any"

    # Answers

    def get_response_serializers(self) -> Any:
        endpoint = self._found
        answers: dict[Any, OpenApiResponse] = {}
        for number, body in endpoint.answers.items():
            answers |= self._answer(number, body)
        for number, codes in self._refusals().items():
            examples = [OpenApiExample(code, value=refusal_example(number, code)) for code in codes]
            answers[str(number), _JSON] = OpenApiResponse(
                refusal_schema(codes), DESCRIPTIONS[number], examples
            )
        return answers

    def _answer(self, number: int, body: Body | None) -> dict[Any, OpenApiResponse]:
        if body is None:
            return {str(number): OpenApiResponse(None, DESCRIPTIONS[number])}
        if body is bodies.TOKENS:
            body = self._tokens()
        example = OpenApiExample(body.name, value=body.example)
        response = OpenApiResponse(self._schema_of(body), DESCRIPTIONS[number], [example])
        return {(str(number), body.media_type or _JSON): response}

    def _tokens(self) -> Body:
        if not self._is_ambient:
            return bodies.TOKENS_IN_BODY
        return bodies.TOKENS if conf.access_cookie_name is None else bodies.TOKENS_WITH_CSRF_TOKEN

    def _refusals(self) -> dict[int, tuple[str, ...]]:
        return refusals_of(
            self._found,
            has_body=self._request_body() is not None,
            is_cross_site_refused=self._is_ambient
            and getattr(self.view, "refuses_cross_site", False),
            is_safe=self.method == "GET",
        )

    def _schema_of(self, body: Body) -> Any:
        """Return a serializer, or a reference to the component with the schema."""
        if isinstance(body.schema, type):
            return body.schema(many=True) if body.is_list else body.schema
        schema = body.schema()
        if body.is_inline:
            return schema
        component = ResolvedComponent(
            name=body.name, type=ResolvedComponent.SCHEMA, schema=schema, object=Body
        )
        self.registry.register_on_missing(component)
        return component.ref

    def _response_headers(self) -> list[OpenApiParameter]:
        endpoint, refusals = self._found, self._refusals()
        good, bad = list(endpoint.answers), list(refusals)
        headers = [
            _parameter(name, schema, what, response=good)
            for name, (what, schema) in endpoint.headers.items()
        ]
        if "Cache-Control" not in endpoint.headers:
            no_store = {**TEXT, "enum": ["no-store"]}
            headers.append(_parameter("Cache-Control", no_store, "", response=[*good, *bad]))
        if self._is_ambient and (endpoint.gives_refresh_token or endpoint.operation == "logout"):
            what = "The refresh cookie, set or deleted."
            headers.append(_parameter("Set-Cookie", TEXT, what, response=good))
        if status.HTTP_401_UNAUTHORIZED in refusals:
            scheme = "Basic" if endpoint.credential == "service" else "Bearer"
            challenge = {**TEXT, "pattern": f'^{scheme} realm="{REALM}"'}
            headers.append(_parameter("WWW-Authenticate", challenge, "", response=[401]))
        if status.HTTP_429_TOO_MANY_REQUESTS in refusals:
            seconds = {"type": "integer", "minimum": 1}
            what = "After how many seconds to try again."
            headers.append(_parameter("Retry-After", seconds, what, response=[429]))
        return headers

    def _links(self, operation_id: str) -> dict[str, Any]:
        """Say which operations at this mount take something out of the answer."""
        if operation_id != self._short_id(self._found):
            return {}  # theirs are also unknown
        links: dict[str, Any] = {}
        for key, (name, pointer) in self._found.links.items():
            target = ENDPOINTS[key]
            value = f"$response.body#{pointer}"
            link: dict[str, Any] = {"operationId": self._short_id(target)}
            if name in target.parameters:
                links[target.operation] = {**link, "parameters": {name: value}}
            elif not self._is_ambient:
                links[target.operation] = {**link, "requestBody": {name: value}}
        return links


def _parameter(
    name: str,
    schema: Schema,
    description: str,
    *,
    location: Any = "header",
    response: list[int] | bool = False,
) -> OpenApiParameter:
    # In an answer, a header is there whenever it is described.
    is_required = location == "path" or response is not False
    return OpenApiParameter(
        name=name,
        type=schema,
        location=location,
        description=description,
        required=is_required,
        response=response,
    )
