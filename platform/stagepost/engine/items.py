"""What lies on the desk: one message, and what has to be written beside its effect."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from stagepost.engine.decide import Decided
from stagepost.engine.store import (
    BROKER,
    Batch,
    Commit,
    Cursor,
    CursorId,
    Envelope,
    Handled,
    Idempotency,
)
from stagepost.messages import Message, Request, encode


@dataclass(slots=True, eq=False)
class Item:
    """One message on the desk.

    `cursor` and `hint` say where it was read, `call` which call it answers, `redrives` which dead
    letter it was. `done` gets the answer, once it is stored.
    """

    cause: Envelope
    message: Message | None = None
    cursor: CursorId | None = None
    hint: int = 0
    call: int | None = None
    redrives: int | None = None
    idempotency_key: str | None = None
    fingerprint: bytes = b""
    done: asyncio.Future[Any] | None = None
    decided: Decided | None = None
    is_request: bool = False
    """Somebody asks over HTTP, whom no other instance can answer."""

    def finish(self, answer: object = None) -> None:
        if self.done is not None and not self.done.done():
            self.done.set_result(answer)

    def fail(self, error: Exception) -> None:
        if self.done is not None and not self.done.done():
            self.done.set_exception(error)

    def park(self, reason: str) -> None:
        """Decide that this message cannot be handled: it is kept as a dead letter."""
        commit = Commit(self.cause, Handled.PARKED, reason[:2000], parks=True)
        self.decided = Decided(commit, None, {})

    def commit(self, cursor: int | None) -> Commit:
        """Return what was decided, with what this item adds."""
        assert self.decided is not None
        decided = self.decided.commit
        return Commit(  # in full: `replace` costs five times as much, for every message
            decided.cause,
            decided.handled,
            decided.detail,
            decided.checks,
            decided.events,
            decided.sends,
            decided.timers,
            decided.clears,
            self.call,
            decided.parks,
            self.redrives,
            self._idempotency(),
            cursor,
        )

    def _idempotency(self) -> Idempotency | None:
        if self.idempotency_key is None or self.decided is None:
            return None
        answer = self.decided.answer
        response = b"" if answer is None else answer.__pydantic_serializer__.to_json(answer)
        return Idempotency(self.idempotency_key, self.fingerprint, response)


def request_item(request: Request, name: UUID, service: str) -> Item:
    """Lay out a request: its own id is its correlation, and nothing caused it."""
    cause = Envelope(
        id=name,
        type=request.TYPE,
        version=request.VERSION,
        kind=request.KIND,
        source=service,
        key=request.key,
        correlation=name,
        causation=None,
        body=encode(request),
    )
    done = asyncio.get_running_loop().create_future()
    return Item(cause, request, done=done, is_request=True)


def onward(cursor: Cursor, last: Item) -> Cursor:
    """Return the cursor with the goal that this item sets, unless it has come further already."""
    if last.cause.position < cursor.to:
        return cursor
    return replace(cursor, to=last.cause.position, hint=last.hint)


@dataclass
class Signals:
    """Who is woken when something was written."""

    outbox: asyncio.Event = field(default_factory=asyncio.Event)
    calls: asyncio.Event = field(default_factory=asyncio.Event)
    timers: asyncio.Event = field(default_factory=asyncio.Event)
    events: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, batch: Batch) -> None:
        """Wake everyone who has something to do now."""
        for commit in batch.commits:
            if commit.events:
                self.events.set()
            if commit.timers:
                self.timers.set()
            for sent in commit.sends:
                (self.outbox if sent.channel == BROKER else self.calls).set()
