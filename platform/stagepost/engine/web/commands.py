"""`POST /commands`: a command over HTTP, as CloudEvents say it in binary mode, and its answer."""

from __future__ import annotations

from http import HTTPStatus

from litestar import Response, post
from litestar.exceptions import HTTPException, PermissionDeniedException
from litestar.handlers import HTTPRouteHandler
from litestar.params import SkipValidation

from stagepost.engine.answers import Answers
from stagepost.engine.transports.http_envelope import read_binary, write_binary
from stagepost.engine.web.access import SERVICES, caller_of
from stagepost.engine.web.peers import Peers
from stagepost.engine.web.problems import RETRY, AnyRequest, Fault, Invalid
from stagepost.errors import GivenUp
from stagepost.messages import Kind


def command_route(service: str, peers: Peers) -> HTTPRouteHandler:
    """Return the route of one service. The catalogue of messages documents it, not OpenAPI."""

    @post("/commands", include_in_schema=False, status_code=HTTPStatus.OK, opt=SERVICES)
    async def take_command(
        request: AnyRequest, answers: SkipValidation[Answers]
    ) -> Response[bytes]:
        """Handle a command: 200 with the answer, 202 where there is none yet, 410: never."""
        try:
            command = read_binary(request.headers, await request.body())
        except (KeyError, ValueError) as error:
            fault = Fault(place="header", pointer="", detail=f"not one of our messages: {error}")
            raise Invalid([fault]) from None
        if command.kind != Kind.COMMAND or command.recipient != service:
            raise HTTPException(
                status_code=HTTPStatus.MISDIRECTED_REQUEST,
                detail=f"this is {service}: it takes commands to it, not a {command.kind} to"
                f" {command.recipient}",
            )
        if command.source != caller_of(request).sub:
            raise PermissionDeniedException(
                f"who asks is {caller_of(request).sub}: it brings no commands of {command.source}"
            )
        peers.check_sender(command.source, command.type)
        try:
            answer = await answers.answer(command)
        except GivenUp as error:
            raise HTTPException(status_code=HTTPStatus.GONE, detail=str(error)) from None
        if answer is None:
            return Response(b"", status_code=HTTPStatus.ACCEPTED, headers=RETRY)
        return Response(answer.body, headers=write_binary(answer))

    return take_command
