"""What a request may hold: checked with pydantic, exactly as the OpenAPI document says.

Litestar drops pydantic's constraints on parameters, ignores parameters that it does not know, and
reads bodies leniently. So each route's inputs are compiled once, when the app is made, and checked
before the route is called; the body is read straight from its bytes, which is also faster.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from litestar import Litestar, Request
from litestar._kwargs import KwargsModel
from litestar.exceptions import HTTPException, InternalServerException
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.typing import FieldDefinition
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from stagepost.engine.web.problems import AnyRequest, Fault, Invalid, Place

JSON = "application/json"
MAX_BODY = 1024 * 1024
MAX_FAULTS = 20
"""As many faults of one request are told; a hostile one could have a hundred thousand."""

_INPUTS = "inputs"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a route, by the name it has in the request."""

    name: str
    place: Place
    required: bool
    description: str
    type: TypeAdapter[Any]

    def value(self, request: AnyRequest) -> str | None:
        if self.place == "query":
            return request.query_params.get(self.name)
        if self.place == "header":
            return request.headers.get(self.name)
        return request.path_params.get(self.name)

    def faults(self, request: AnyRequest) -> Iterator[Fault]:
        value = self.value(request)
        if value is None:
            if self.required:
                yield Fault(place=self.place, pointer=f"/{self.name}", detail="is required")
            return
        try:
            self.type.validate_strings(value)
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]["msg"]
            yield Fault(place=self.place, pointer=f"/{self.name}", detail=detail)


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that a route takes: its parameters, and its JSON body if it has one."""

    parameters: tuple[Parameter, ...]
    query: frozenset[str]
    body: TypeAdapter[Any] | None

    def check_parameters(self, request: AnyRequest) -> None:
        """Refuse parameters that are unknown, missing, given twice, or not as documented."""
        faults = [fault for parameter in self.parameters for fault in parameter.faults(request)]
        if request.scope["query_string"]:
            faults += self._strangers(request)
        if faults:
            raise Invalid(faults[:MAX_FAULTS])

    def read_body(self, body: bytes) -> object:
        """Read a JSON body; text is not taken for a number, nor a number for text."""
        if self.body is None:
            raise TypeError("a body was read where the route takes none")
        try:
            return self.body.validate_json(body, strict=True)
        except ValidationError as error:
            if not any(fault["type"] == "int_type" for fault in error.errors(include_url=False)):
                raise Invalid(_faults_of(error)) from None
        try:
            return self.body.validate_json(
                to_json(_with_whole_numbers(from_json(body))), strict=True
            )
        except ValidationError as error:
            raise Invalid(_faults_of(error)) from None

    def _strangers(self, request: AnyRequest) -> Iterator[Fault]:
        for name, times in Counter(name for name, _ in request.query_params.multi_items()).items():
            if name not in self.query:
                yield Fault(place="query", pointer=_pointer(name), detail="no such parameter")
            elif times > 1:
                yield Fault(
                    place="query", pointer=_pointer(name), detail="was given more than once"
                )


class JsonRequest(Request[Any, Any, Any]):
    """A request whose JSON is read once, as the type that its route declares for `data`."""

    async def body(self) -> bytes:
        try:
            return await super().body()
        except InternalServerException as error:
            # Litestar takes a client that hangs up for a fault of ours. Nobody hears this answer.
            raise HTTPException(status_code=400, detail="the request was not sent whole") from error

    async def json(self) -> object:
        if self.content_type[0] != JSON:
            raise HTTPException(
                status_code=415,
                detail=f"the body is {self.content_type[0] or 'of no type'}: "
                f"send it as JSON, with the header Content-Type: {JSON}",
            )
        return inputs_of(self.route_handler).read_body(await self.body())


class Authenticate(Protocol):
    """The seam where authentication sits: called with every request before anything is read."""

    async def __call__(self, request: AnyRequest) -> None:
        """Let the request pass.

        Raises:
            HTTPException: it may not (401, 403, 429).
        """
        ...


@dataclass(frozen=True, slots=True)
class Gate:
    """What every request passes before its route is called."""

    authenticate: Authenticate

    async def __call__(self, request: AnyRequest) -> None:
        await self.authenticate(request)
        inputs: Inputs | None = request.route_handler.opt.get(_INPUTS)
        if inputs is not None:
            inputs.check_parameters(request)
            if inputs.body is None and _has_body(request):
                raise Invalid([Fault(place="body", pointer="", detail="this call takes no body")])


def _has_body(request: AnyRequest) -> bool:
    headers = request.headers
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def compile_inputs(app: Litestar) -> None:
    """Compile what each documented route takes, and keep it with the route."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler, model in route.route_handler_map.values():
                if handler.resolve_include_in_schema():
                    handler.opt[_INPUTS] = _compile(handler, model)


def inputs_of(handler: HTTPRouteHandler) -> Inputs:
    """Return what a documented route takes."""
    inputs: Inputs = handler.opt[_INPUTS]
    return inputs


def _compile(handler: HTTPRouteHandler, model: KwargsModel) -> Inputs:
    fields = handler.parsed_fn_signature.parameters
    places: dict[Place, Any] = {
        "path": model.expected_path_params,
        "query": model.expected_query_params,
        "header": model.expected_header_params,
    }
    parameters = tuple(
        Parameter(
            given.field_alias,
            place,
            place == "path" or not fields[given.field_name].has_default,
            _description(fields[given.field_name]),
            _adapter(fields[given.field_name]),
        )
        for place, expected in places.items()
        for given in sorted(expected, key=lambda given: list(fields).index(given.field_name))
    )
    return Inputs(
        parameters,
        frozenset(parameter.name for parameter in parameters if parameter.place == "query"),
        _adapter(fields["data"]) if "data" in fields else None,
    )


def _description(field: FieldDefinition) -> str:
    return getattr(field.kwarg_definition, "description", None) or ""


def _adapter(field: FieldDefinition) -> TypeAdapter[Any]:
    annotation: type[Any] = field.raw
    return TypeAdapter(annotation)


def _with_whole_numbers(value: Any) -> Any:
    """Write 2.0 as 2: for JSON Schema, and so for our documents, it is an integer."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_with_whole_numbers(item) for item in value]
    if isinstance(value, dict):
        return {name: _with_whole_numbers(item) for name, item in value.items()}
    return value


def _faults_of(error: ValidationError) -> list[Fault]:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    faults = [
        Fault(place="body", pointer="".join(map(_pointer, said["loc"])), detail=said["msg"])
        for said in found[:MAX_FAULTS]
    ]
    # Of a list with a faulty item pydantic also says that it is too short: it did not count it.
    return [
        fault
        for fault in faults
        if not any(other.pointer.startswith(f"{fault.pointer}/") for other in faults)
    ]


def _pointer(part: str | int) -> str:
    return "/" + str(part).replace("~", "~0").replace("/", "~1")
