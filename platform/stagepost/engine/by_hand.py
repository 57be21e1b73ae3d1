"""A command by hand: made from what a person types, sent from outside as the operator."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from uuid import UUID

import nats
from nats.errors import Error as NatsError
from pydantic import ValidationError

from stagepost.engine.answers import is_answer
from stagepost.engine.external import EXTERNAL, OPERATOR, commands_of, source_of
from stagepost.engine.flow import Flow
from stagepost.engine.ids import SystemIds
from stagepost.engine.links import routes_of
from stagepost.engine.operate import open_store, read_stack
from stagepost.engine.replay.given import one_of, unknown
from stagepost.engine.service import Service
from stagepost.engine.store_postgres import PostgresStore
from stagepost.engine.transports.nats_external import subject_to
from stagepost.errors import BadMessage, BadSettings, TransportUnavailable
from stagepost.messages import Answer, Command, decode, encode

WAIT_SECONDS = 5.0
"""How long an answer is waited for."""
LOOK_SECONDS = 0.05
"""How often it is looked for."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A command that was sent by hand: its id, and its place in the stream."""

    id: UUID
    command: Command
    sequence: int


async def send_by_hand(data: Path, service: str, name: str, text: str) -> Sent:
    """Send a command to a service of the running stack.

    Raises:
        BadSettings: nothing runs there, there is no such command, it does not fit, or nothing
            reaches the service over NATS.
        TransportUnavailable
    """
    stack = read_stack(data)
    flow = Flow(**stack["flow"], only=frozenset(stack["services"]))
    to = flow.services[one_of("service", service, flow.services)]
    command = read_command(to, name, text)
    if not routes_of(to, flow.services, flow.links).hears_outside:
        raise BadSettings(
            f"a command by hand goes over NATS, and nothing reaches {service} so in this stack"
            f" ({flow}): start one whose links do (make up TRANSPORT=nats), or ask {service} over"
            f" HTTP, as {stack['services'][service]['url']}/docs says"
        )
    identity = SystemIds().new()
    return Sent(identity, command, await _publish(stack[EXTERNAL][OPERATOR], command, identity))


async def answer_to(data: Path, sent: Sent) -> Answer | None:
    """Wait a moment for the answer to a command, None where there is none yet.

    Raises:
        BadMessage: it is a dead letter.
        StoreUnavailable
    """
    async with open_store(data, sent.command.OWNER) as store:
        with suppress(TimeoutError):
            async with asyncio.timeout(WAIT_SECONDS):
                while (answer := await _answer(store, sent)) is None:  # noqa: ASYNC110  # by looking
                    await asyncio.sleep(LOOK_SECONDS)
                return answer
    return None


def read_command(service: Service, name: str, text: str) -> Command:
    """Make a command to a service; who sends by hand is its caller.

    Raises:
        BadSettings: there is no such command, or it does not fit: it says where.
    """
    kind = _kind(service, name)
    try:
        given = json.loads(text)
    except ValueError as error:
        raise BadSettings(f"{kind.TYPE} must be given as JSON: {error}") from None
    if not isinstance(given, Mapping):
        raise BadSettings(f"{kind.TYPE} must be given as a JSON object, with a field for each part")
    if (caller := given.get("caller", OPERATOR)) != OPERATOR:
        raise BadSettings(
            f"{kind.TYPE} does not fit at /caller: who sends by hand is {OPERATOR!r},"
            f" and not {caller!r}"
        )
    try:
        return kind.model_validate_json(json.dumps({"caller": OPERATOR, **given}), extra="forbid")
    except ValidationError as error:
        raise BadSettings(_faults(kind, error)) from None


def _kind(service: Service, name: str) -> type[Command]:
    commands = {command.__name__: command for command in commands_of(service)}
    word = name.removeprefix(f"{service.name}.")
    if word in commands:
        return commands[word]
    takes = f"it takes {', '.join(commands)}" if commands else "nobody commands it"
    if any(word == message.__name__ for message in service.sends):
        raise BadSettings(f"{service.name} alone tells {word}, nobody tells it that; {takes}")
    raise unknown(f"command to {service.name}", name, commands)


def _faults(kind: type[Command], error: ValidationError) -> str:
    found = {
        _pointer(fault["loc"]): _fault(kind, fault)
        for fault in error.errors(include_url=False, include_input=False)
    }
    # A list is also said to be too short where nothing in it fits.
    deepest = [at for at in found if not any(other.startswith(f"{at}/") for other in found)]
    return "\n".join([f"{kind.TYPE} does not fit:", *(f"  {at}: {found[at]}" for at in deepest)])


def _pointer(place: tuple[int | str, ...]) -> str:
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in place)


def _fault(kind: type[Command], fault: Mapping[str, Any]) -> str:
    if fault["type"] != "extra_forbidden":
        return str(fault["msg"])
    (*inside, name) = fault["loc"]
    near = [] if inside else get_close_matches(str(name), kind.model_fields, 1)
    return f"there is no such field{f'; did you mean {near[0]}?' if near else ''}"


async def _publish(url: str, command: Command, identity: UUID) -> int:
    """Store a command in the stream; return its sequence there."""
    headers = {
        "Nats-Msg-Id": str(identity),
        "ce-specversion": "1.0",
        "ce-id": str(identity),
        "ce-type": command.TYPE,
        "ce-source": source_of(OPERATOR),
        "ce-version": str(command.VERSION),
    }
    subject = subject_to(command.OWNER, OPERATOR, type(command).__name__)
    inbox = f"_INBOX_{OPERATOR}".encode()
    try:
        client = await nats.connect(
            url, inbox_prefix=inbox, allow_reconnect=False, error_cb=_raised_anyway
        )
        try:
            reply = await client.request(subject, encode(command), timeout=5, headers=headers)
        finally:
            await client.close()
    except (OSError, TimeoutError, NatsError) as error:
        raise TransportUnavailable(f"the broker did not take it: {error!r}") from error
    stored = json.loads(reply.data)
    if fault := stored.get("error"):
        raise TransportUnavailable(f"the broker did not take it: {fault['description']}")
    return int(stored["seq"])


async def _raised_anyway(_: Exception) -> None:
    """Say nothing: what is wrong is raised."""


async def _answer(store: PostgresStore, sent: Sent) -> Answer | None:
    for _, told in await store.answers([sent.id]):
        message = decode(told.type, told.version, told.body)
        if isinstance(message, Answer) and is_answer(message, sent.command):
            return message
    for letter in await store.dead_letters(0, 1000):
        if letter.message.id == sent.id:
            where = f"dead letter {letter.id} of {sent.command.OWNER}"
            raise BadMessage(f"it is {where}: {letter.reason}")
    return None
