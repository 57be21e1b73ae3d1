"""What is said when a request fails: RFC 9457 problem documents, and nothing else.

Every status has one kind of problem with a stable `type`: a URI that leads to its paragraph on the
page /docs/problems. What a bug or the database says goes to the log, under the `instance` that the
client was given; it never leaves the service.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal, TypeAlias

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import ExceptionHandlersMap
from pydantic import BaseModel, ConfigDict, Field

from stagepost.engine.ids import Ids
from stagepost.errors import NoRoom, OutcomeUnknown, Refused, StoreUnavailable, TransportUnavailable

PROBLEM_JSON = "application/problem+json"
PROBLEMS_PAGE = "/docs/problems"
RETRY = {"Retry-After": "1"}
RETRY_LATER = {"Retry-After": "5"}
INTERNAL = 500
OUT_OF_REACH = "something that this service needs cannot be reached"
OUTCOME_UNKNOWN = "the connection was lost: whether the request was stored is not known"

Place: TypeAlias = Literal["body", "query", "path", "header"]
AnyRequest: TypeAlias = Request[Any, Any, Any]

log = structlog.get_logger(__name__)


class Fault(BaseModel):
    """One thing that is wrong with a request: in which part of it, at which field, and what."""

    model_config = ConfigDict(frozen=True, validate_by_name=True, serialize_by_alias=True)

    place: Place = Field(alias="in", description="The part of the request.", examples=["body"])
    pointer: str = Field(
        description="JSON pointer (RFC 6901) to the field within that part.",
        examples=["/lines/0/quantity"],
    )
    detail: str = Field(examples=["Input should be greater than or equal to 1"])


class Problem(BaseModel):
    """Why a request failed (RFC 9457)."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(
        description="The kind of problem: a link to what it means.",
        examples=[f"{PROBLEMS_PAGE}#invalid-request"],
    )
    title: str = Field(examples=["The request is not valid"])
    status: int = Field(ge=400, le=599, examples=[400])
    detail: str = Field(examples=["body /lines/0/quantity: Input should be greater than 0"])
    instance: str = Field(
        description="Names this one failure; where the fault is ours, the log has it.",
        examples=["urn:uuid:0197a3c2-8f50-4c11-9d5e-0d3a7b1f4a61"],
    )
    errors: tuple[Fault, ...] = Field(default=(), description="The fields at fault, where known.")


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """What all problems of one status have in common; `meaning` is for the page about them."""

    slug: str
    title: str
    meaning: str


KINDS: Mapping[int, ProblemKind] = {
    400: ProblemKind(
        "invalid-request",
        "The request is not valid",
        "It is not JSON, or a field or parameter is missing, unknown or not as documented. "
        "The list of errors points to each. Correct them: asking again unchanged will not help.",
    ),
    401: ProblemKind(
        "unauthenticated",
        "Who asks is not known",
        "Send a token that is valid, in the header Authorization: Bearer (token).",
    ),
    403: ProblemKind(
        "not-allowed",
        "Who asks may not do this",
        "The token is valid, and is for somebody who may not do this. Nothing was changed.",
    ),
    404: ProblemKind(
        "not-found", "Not found", "There is nothing here under this address or this id."
    ),
    405: ProblemKind(
        "method-not-allowed",
        "The method is not allowed",
        "This address exists, but not for this method. The header Allow says which it has.",
    ),
    408: ProblemKind(
        "too-slow",
        "The request took too long to arrive",
        "It was not sent whole within 10 seconds, and the connection is closed. Nothing was "
        "changed. Send it again.",
    ),
    409: ProblemKind(
        "conflict",
        "The request conflicts with the current state",
        "Nothing was changed. Look at the current state before asking again.",
    ),
    410: ProblemKind(
        "pruned",
        "It is no longer kept",
        "The service has forgotten what is older than its operator wants to keep. The detail says "
        "where it begins now. Who has not read what lies before that cannot get it here any more. "
        "Or a command that could not be handled was given up: it will never be answered.",
    ),
    412: ProblemKind(
        "changed",
        "It has changed since",
        "Somebody else was faster: it is no longer what the header If-Match names. Nothing was "
        "changed. Read it again, and decide anew.",
    ),
    413: ProblemKind(
        "too-large", "The request is too large", "A request's body may have up to 1 MiB."
    ),
    415: ProblemKind(
        "not-json",
        "The content type is not supported",
        "Send the body as JSON, with the header Content-Type: application/json.",
    ),
    422: ProblemKind(
        "unprocessable",
        "The request cannot be carried out",
        "It is well-formed, but what it asks for cannot be: an idempotency key that was used "
        "with another body, for example. Nothing was changed.",
    ),
    428: ProblemKind(
        "unseen",
        "Say which version you want to change",
        "Send the ETag that came with what you have read in the header If-Match, so that nobody "
        "undoes what somebody else did meanwhile.",
    ),
    429: ProblemKind(
        "too-many-requests",
        "Too many requests",
        "Ask again after the time in the header Retry-After, and less often.",
    ),
    500: ProblemKind(
        "internal-error",
        "The service failed",
        "The fault is ours. Report the problem's instance: the log has the details under it.",
    ),
    503: ProblemKind(
        "unavailable",
        "The service is not available right now",
        "Something that the service needs cannot be reached, or it has no room for new work, so "
        "that what it accepted can be done; reading still works. Ask again after the time in the "
        "header Retry-After; a request that changes something with the same Idempotency-Key.",
    ),
}


class Invalid(HTTPException):
    """The request is not as documented; says every fault that was found."""

    status_code = 400

    def __init__(self, faults: Sequence[Fault]) -> None:
        first = f"{faults[0].place} {faults[0].pointer}".strip()
        more = f" (and {len(faults) - 1} more, see errors)" if len(faults) > 1 else ""
        super().__init__(detail=f"{first}: {faults[0].detail}{more}")
        self.faults = tuple(faults)


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """Document what a route refuses, for its `responses=`.

    400, 408, 413, 415, 500 and 503 always are.
    """
    return {
        status: ResponseSpec(
            Problem,
            generate_examples=False,
            description=_kind(status).title,
            media_type=PROBLEM_JSON,
        )
        for status in statuses
    }


def respond(problem: Problem, headers: Mapping[str, str] | None = None) -> Response[Problem]:
    """Answer with a problem."""
    return Response(
        problem, status_code=problem.status, media_type=PROBLEM_JSON, headers=dict(headers or {})
    )


@dataclass(frozen=True, slots=True)
class Problems:
    """Turns whatever was raised into a problem; `ids` names each one."""

    ids: Ids

    def handlers(self) -> ExceptionHandlersMap:
        """Return what Litestar shall do about which exception."""
        return {
            HTTPException: self.http,
            ValidationException: self.unfit,
            Invalid: self.invalid,
            Refused: self.refused,
            NoRoom: self.no_room,
            StoreUnavailable: self.unavailable,
            OutcomeUnknown: self.unavailable,
            TransportUnavailable: self.unavailable,
            Exception: self.bug,
        }

    def of(
        self, status: int, detail: str, *, title: str | None = None, faults: Sequence[Fault] = ()
    ) -> Problem:
        """Make a problem of a status' kind."""
        kind = _kind(status)
        return Problem(
            type=f"{PROBLEMS_PAGE}#{kind.slug}" if kind.slug else "about:blank",
            title=title or kind.title,
            status=status,
            detail=detail,
            instance=self.ids.new().urn,
            errors=tuple(faults),
        )

    def http(self, request: AnyRequest, error: HTTPException) -> Response[Problem]:
        """Say what Litestar refused itself: no such address, another method, too large."""
        if error.status_code >= INTERNAL:
            return self.bug(request, error)
        silent = error.detail == HTTPStatus(error.status_code).phrase
        detail = _kind(error.status_code).meaning if silent else error.detail
        return respond(self.of(error.status_code, detail), error.headers)

    def invalid(self, _: AnyRequest, error: Invalid) -> Response[Problem]:
        return respond(self.of(400, error.detail, faults=error.faults))

    def unfit(self, request: AnyRequest, error: ValidationException) -> Response[Problem]:
        """Say what Litestar could not read: a body that is missing, mostly."""
        extra = error.extra if isinstance(error.extra, list) else []
        return self.invalid(request, Invalid([_fault(said) for said in extra]))

    def refused(self, _: AnyRequest, error: Refused) -> Response[Problem]:
        pointer, detail = error.pointer, error.detail
        faults = [Fault(place="body", pointer=pointer, detail=detail)] if pointer else []
        return respond(self.of(error.status, detail, title=error.title, faults=faults))

    def unavailable(self, request: AnyRequest, error: Exception) -> Response[Problem]:
        unknown = isinstance(error, OutcomeUnknown)
        problem = self.of(503, OUTCOME_UNKNOWN if unknown else OUT_OF_REACH)
        log.warning(
            "request unavailable",
            instance=problem.instance,
            path=request.url.path,
            error=str(error),
        )
        return respond(problem, RETRY)

    def no_room(self, _: AnyRequest, error: NoRoom) -> Response[Problem]:
        return respond(self.of(503, str(error)), RETRY_LATER)

    def bug(self, request: AnyRequest, error: Exception) -> Response[Problem]:
        problem = self.of(INTERNAL, "the log of the service says why, under this instance")
        log.error(
            "request failed",
            instance=problem.instance,
            method=request.method,
            path=request.url.path,
            exc_info=error,
        )
        return respond(problem)


def _kind(status: int) -> ProblemKind:
    # RFC 9457: a problem without a type of its own has the title of its status.
    return KINDS.get(status) or ProblemKind("", HTTPStatus(status).phrase, "")


def _fault(said: Mapping[str, Any]) -> Fault:
    name = said.get("key", "data")
    if name == "data":
        return Fault(place="body", pointer="", detail="a JSON body is required")
    return Fault(place=said.get("source", "query"), pointer=f"/{name}", detail=said["message"])
