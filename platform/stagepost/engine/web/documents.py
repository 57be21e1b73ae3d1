"""The OpenAPI 3.1 document of a service, from its routes.

Every schema in it is pydantic's own, of the very types that requests are checked with: what the
document says and what the service does cannot differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from inspect import cleandoc
from typing import Any, Literal, TypeAlias

from litestar import Litestar, Response
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.routes import HTTPRoute
from pydantic import TypeAdapter

from stagepost import __version__
from stagepost.engine.service import Service
from stagepost.engine.web.access import allowed_by
from stagepost.engine.web.inputs import JSON, Inputs, Parameter, inputs_of
from stagepost.engine.web.problems import problems
from stagepost.errors import Misuse

Schema: TypeAlias = dict[str, Any]
_RETRY_AFTER: Schema = {
    "description": "Seconds after which to ask again.",
    "required": True,
    "schema": {"type": "integer", "minimum": 0},
}
_PASSING = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_SCHEME = "bearer"
_Key: TypeAlias = tuple[str, Literal["validation", "serialization"], TypeAdapter[Any]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One route with one method, and what the document needs to know about it."""

    id: str
    path: str
    method: str
    handler: HTTPRouteHandler
    inputs: Inputs

    @property
    def answer(self) -> TypeAdapter[Any] | None:
        """The type of a success: what the route returns, or what its `Response[...]` holds."""
        returned = self.handler.parsed_fn_signature.return_type
        if returned.is_union:
            returned = returned.inner_types[0]
        if returned.is_subclass_of(Response):
            returned = returned.inner_types[0]
        if returned.is_none_type or not self.media_type.endswith("json"):
            return None
        return TypeAdapter(returned.raw)

    @property
    def media_type(self) -> str:
        return str(getattr(self.handler.media_type, "value", self.handler.media_type)) or JSON

    @property
    def refusals(self) -> dict[int, ResponseSpec]:
        always = [400, 408, 500, 503]
        always += [413, 415] if self.inputs.body else []
        always += [401, 403, 429] if self.is_guarded else []
        return problems(*always) | dict(self.handler.responses or {})

    @property
    def is_guarded(self) -> bool:
        """Whether it asks for a token."""
        return bool(allowed_by(self.handler.opt))

    def types(self) -> Iterator[_Key]:
        """Every type that the document needs a schema of, under a key of its own."""
        for parameter in self.inputs.parameters:
            yield f"{self.id} {parameter.place} {parameter.name}", "validation", parameter.type
        if self.inputs.body:
            yield f"{self.id} body", "validation", self.inputs.body
        if self.answer:
            yield f"{self.id} answer", "serialization", self.answer
        for status, spec in self.refusals.items():
            if isinstance(spec.data_container, type):
                adapter: TypeAdapter[Any] = TypeAdapter(spec.data_container)
                yield f"{self.id} {status}", "serialization", adapter


def describe(service: Service, app: Litestar) -> Schema:
    """Write the document of all routes that are part of the API.

    Raises:
        Misuse: two routes have the same name.
    """
    operations = list(_operations(app))
    schemas, definitions = TypeAdapter.json_schemas(
        [key for operation in operations for key in operation.types()],
        ref_template="#/components/schemas/{model}",
    )
    by_key = {str(key): schema for (key, _), schema in schemas.items()}
    paths: dict[str, Schema] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = _operation(
            service.name, operation, by_key
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": service.name,
            "description": service.about,
            "version": __version__,
        },
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {
                _SCHEME: {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "A token: where the stack runs, `stagepost token` prints one.",
                }
            },
        },
    }


def _operations(app: Litestar) -> Iterator[Operation]:
    seen: set[str] = set()
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        for handler in route.route_handlers:
            if not handler.resolve_include_in_schema():
                continue
            name = handler.handler_name
            if name in seen:
                raise Misuse(f"two routes are called {name!r}: their names are operation ids")
            seen.add(name)
            method = next(iter(handler.http_methods)).lower()
            yield Operation(name, route.path_format, method, handler, inputs_of(handler))


def _operation(service: str, operation: Operation, schemas: dict[str, Schema]) -> Schema:
    handler = operation.handler
    summary, _, rest = cleandoc(handler.fn.__doc__ or "").partition("\n")
    described: Schema = {
        "operationId": operation.id,
        "summary": summary,
        "description": rest.strip(),
        "tags": handler.resolve_tags() or [service],
        "parameters": [
            _parameter(parameter, schemas[f"{operation.id} {parameter.place} {parameter.name}"])
            for parameter in operation.inputs.parameters
        ],
        "responses": dict(_responses(operation, schemas)),
    }
    if operation.is_guarded:
        described["security"] = [{_SCHEME: []}]
    if operation.inputs.body:
        content = {JSON: {"schema": schemas[f"{operation.id} body"]}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _parameter(parameter: Parameter, schema: Schema) -> Schema:
    # A parameter that may be left out is None for us, but nobody can send a null.
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        schema = {**{name: value for name, value in schema.items() if name != "anyOf"}, **kinds[0]}
    described: Schema = {"name": parameter.name, "in": parameter.place}
    if about := parameter.description or schema.get("description"):
        described["description"] = about
    return described | {"required": parameter.required, "schema": schema}


def _responses(operation: Operation, schemas: dict[str, Schema]) -> Iterator[tuple[str, Schema]]:
    answer: Schema = {"description": operation.handler.response_description or "Done."}
    if headers := list(_headers(operation.handler)):
        answer["headers"] = dict(headers)
    if operation.answer:
        schema = schemas[f"{operation.id} answer"]
        answer["content"] = {operation.media_type: {"schema": schema}}
    elif operation.media_type != JSON:
        answer["content"] = {operation.media_type: {"schema": {"type": "string"}}}
    yield str(operation.handler.status_code), answer
    for status, spec in sorted(operation.refusals.items()):
        refusal: Schema = {"description": spec.description}
        if status in _PASSING:
            refusal["headers"] = {"Retry-After": _RETRY_AFTER}
        if spec.data_container is not None:
            media_type = str(getattr(spec.media_type, "value", spec.media_type))
            refusal["content"] = {media_type: {"schema": schemas[f"{operation.id} {status}"]}}
        yield str(status), refusal


def _headers(handler: HTTPRouteHandler) -> Iterator[tuple[str, Schema]]:
    for header in handler.resolve_response_headers():
        described = {"description": header.description or "", "schema": {"type": "string"}}
        yield header.name, described
