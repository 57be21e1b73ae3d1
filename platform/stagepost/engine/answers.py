"""Answers to commands that somebody brought, and waits for: found in the outbox when they come.

The answer to a command is the first message behind it in the outbox that answers its type, for its
caller and reference: the same one, however often the command is brought.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog

from stagepost.engine.desk import Desk
from stagepost.engine.follow import POLL, sleep_until
from stagepost.engine.store import Envelope, Store
from stagepost.errors import BadMessage, StoreError
from stagepost.messages import Answer, Command, Message, decode

WAIT_SECONDS = 2.0
"""How long somebody who brings a command is kept waiting for its answer."""

LOOK_SECONDS = 0.25
"""How often the outbox is looked at: another instance may have written the answer."""

log = structlog.get_logger(__name__)


@dataclass(eq=False, slots=True)
class _Wanted:
    command: Command
    answer: asyncio.Future[Envelope]


class Answers:
    """Takes commands in over the desk, and waits for their answers."""

    def __init__(self, desk: Desk, store: Store) -> None:
        self._desk = desk
        self._store = store
        self._awaited = desk.awaited
        self._wanted: dict[UUID, _Wanted] = {}
        self._ending = asyncio.Event()

    async def answer(self, command: Envelope) -> Envelope | None:
        """Have a command handled; return its answer, None where none has come in a moment.

        Raises:
            NoRoom, OutcomeUnknown: bring it again.
        """
        await self._desk.take_in(command)
        try:
            message = decode(command.type, command.version, command.body)
        except BadMessage:
            return None  # it waits for a person, as a dead letter
        assert isinstance(message, Command)
        return await self._wait(command, message)

    async def _wait(self, command: Envelope, message: Command) -> Envelope | None:
        wanted = self._wanted.get(command.id)
        if wanted is None:
            loop = asyncio.get_running_loop()
            wanted = self._wanted[command.id] = _Wanted(message, loop.create_future())
            self._awaited.add(command.key, command.id)
        ending = asyncio.create_task(self._ending.wait())
        try:
            either: set[asyncio.Future[Any]] = {wanted.answer, ending}
            await asyncio.wait(either, timeout=WAIT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ending.cancel()
            self._wanted.pop(command.id, None)
            self._awaited.discard(command.key, command.id)
        return wanted.answer.result() if wanted.answer.done() else None

    def end(self) -> None:
        """Keep nobody waiting any longer: this process is about to end."""
        self._ending.set()

    async def run(self) -> None:
        """Look for answers until cancelled: at once to what was told here, else now and then."""
        while True:
            await sleep_until(self._awaited.wake, LOOK_SECONDS if self._wanted else POLL)
            asked = self._awaited.take() or frozenset(self._wanted)
            if asked:
                await self._look_for(asked)

    async def _look_for(self, commands: Collection[UUID]) -> None:
        try:
            told = await self._store.answers(commands)
        except StoreError as error:
            log.warning("answers not looked for", reason=str(error))
            await asyncio.sleep(LOOK_SECONDS)
            return
        for command, envelope in told:
            wanted = self._wanted.get(command)
            if wanted is None or wanted.answer.done():
                continue
            message = decode(envelope.type, envelope.version, envelope.body)
            if is_answer(message, wanted.command):
                wanted.answer.set_result(envelope)


def is_answer(message: Message, command: Message) -> bool:
    """Tell whether a message answers a command: its type, for its caller and reference."""
    return (
        isinstance(message, Answer)
        and isinstance(command, message.TO)
        and (message.caller, message.reference) == (command.caller, command.reference)
    )
