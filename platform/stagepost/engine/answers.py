"""Answers to commands that somebody brought, and waits for: found in the outbox when they come.

The answer to a command is what its own handling said; where that said nothing yet, the first
message behind it in the outbox that answers its type, for its caller and reference. It is the same
one, however often the command is brought. What waits for a person as a dead letter has none, and
what that person discards will have none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog

from stagepost.engine.desk import Desk
from stagepost.engine.envelope import Envelope
from stagepost.engine.follow import POLL, sleep_until
from stagepost.engine.store import Store
from stagepost.errors import BadMessage, GivenUp, StoreError
from stagepost.messages import Answer, Command, Message, decode

WAIT_SECONDS = 2.0
"""How long somebody who brings a command is kept waiting for its answer."""

MAX_KNOWN = 10_000
"""Commands without an answer that are known here: who asks again costs no decision."""

LOOK_SECONDS = 0.25
"""How often the outbox is looked at: another instance may have written the answer."""

log = structlog.get_logger(__name__)


@dataclass(eq=False, slots=True)
class _Wanted:
    command: Command
    answer: asyncio.Future[Envelope]
    waiting: int = 0
    """How many brought it, and wait."""


class Answers:
    """Takes commands in over the desk, and waits for their answers."""

    def __init__(self, desk: Desk, store: Store) -> None:
        self._desk = desk
        self._store = store
        self._awaited = desk.awaited
        self._wanted: dict[UUID, _Wanted] = {}
        self._unanswered: dict[UUID, None] = {}
        self._ending = asyncio.Event()
        self._looked_at = 0.0

    async def answer(self, command: Envelope) -> Envelope | None:
        """Have a command handled; return its answer, None where none has come in a moment.

        Raises:
            NoRoom, OutcomeUnknown: bring it again.
            GivenUp: it will have none.
        """
        if not await self._has(command.id):
            await self._desk.take_in(command)
        message = _read(command)
        # What is no command of ours waits for a person, as a dead letter.
        answer = await self._wait(command, message) if isinstance(message, Command) else None
        if answer is None and (reason := await self._store.discarded(command.id)) is not None:
            raise GivenUp(reason)
        self._note(command.id, is_answered=answer is not None)
        return answer

    async def _has(self, command: UUID) -> bool:
        """Tell whether a command is asked about again, and still stored."""
        return command in self._unanswered and await self._store.has_heard(command)

    def _note(self, command: UUID, *, is_answered: bool) -> None:
        self._unanswered.pop(command, None)
        if not is_answered:
            self._unanswered[command] = None
            if len(self._unanswered) > MAX_KNOWN:
                del self._unanswered[next(iter(self._unanswered))]

    async def _wait(self, command: Envelope, message: Command) -> Envelope | None:
        wanted = self._wanted.get(command.id)
        if wanted is None:
            loop = asyncio.get_running_loop()
            wanted = self._wanted[command.id] = _Wanted(message, loop.create_future())
            self._awaited.add(command.key, command.id)
        wanted.waiting += 1
        ending = asyncio.create_task(self._ending.wait())
        try:
            either: set[asyncio.Future[Any]] = {wanted.answer, ending}
            await asyncio.wait(either, timeout=WAIT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ending.cancel()
            wanted.waiting -= 1
            if not wanted.waiting:
                del self._wanted[command.id]
                self._awaited.discard(command.key, command.id)
        return wanted.answer.result() if wanted.answer.done() else None

    def end(self) -> None:
        """Keep nobody waiting any longer: this process is about to end."""
        self._ending.set()

    async def run(self) -> None:
        """Look for answers until cancelled: at once to what was told here, else now and then."""
        while True:
            await sleep_until(self._awaited.wake, LOOK_SECONDS if self._wanted else POLL)
            asked: Collection[UUID] = self._awaited.take()
            now = asyncio.get_running_loop().time()
            if now - self._looked_at >= LOOK_SECONDS:
                asked, self._looked_at = [*self._wanted], now
            if asked:
                await self._look_for(asked)

    async def _look_for(self, commands: Collection[UUID]) -> None:
        try:
            told = await self._store.answers(commands)
        except StoreError as error:
            log.warning("answers not looked for", reason=str(error))
            await asyncio.sleep(LOOK_SECONDS)
            return
        for command, envelope in sorted(told, key=_is_foreign):
            wanted = self._wanted.get(command)
            if wanted is None or wanted.answer.done():
                continue
            if is_answer(_read(envelope), wanted.command):
                wanted.answer.set_result(envelope)


def _is_foreign(told: tuple[UUID, Envelope]) -> bool:
    """Tell whether something else than the handling of a command said this."""
    command, envelope = told
    return envelope.causation != command


def _read(envelope: Envelope) -> Message | None:
    try:
        return decode(envelope.type, envelope.version, envelope.body)
    except BadMessage:
        return None


def is_answer(message: Message | None, command: Message) -> bool:
    """Tell whether a message answers a command: its type, for its caller and reference."""
    return (
        isinstance(message, Answer)
        and isinstance(command, Command)
        and isinstance(command, (message.TO, *message.ALSO))
        and (message.caller, message.reference) == (command.caller, command.reference)
    )
