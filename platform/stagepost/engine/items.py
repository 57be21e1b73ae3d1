"""What lies on the desk: one message, and what has to be written beside its effect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from stagepost.engine.batch import BROKER, Batch, Commit, Cursor, CursorId, Handled, Idempotency
from stagepost.engine.decide import Decided
from stagepost.engine.envelope import Envelope
from stagepost.engine.follow import sleep_until
from stagepost.errors import BadMessage, Refused
from stagepost.messages import Kind, Message, Request, encode


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
    """Somebody asks: a refusal goes back to whoever it is, and nothing is kept of it."""
    needs_lease: bool = True
    """Only the holder of the lease may write it: not where somebody waits for this instance."""
    fault: BadMessage | None = None
    """What was wrong with it on the wire, where that was seen before it lay here."""

    @property
    def is_brought(self) -> bool:
        """Whether it is a command that its sender brought to this instance."""
        return not (self.needs_lease or self.is_request)

    def finish(self, answer: object = None) -> None:
        if self.done is not None and not self.done.done():
            self.done.set_result(answer)

    def fail(self, error: Exception) -> None:
        if self.done is not None and not self.done.done():
            # A refusal is an answer. Its traceback would keep this whole batch in memory.
            is_refusal = isinstance(error, Refused)
            self.done.set_exception(error.with_traceback(None) if is_refusal else error)

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


Source = Callable[[int], Sequence[Item]]
"""Reads so many items at most that wait somewhere."""


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
    return Item(cause, request, done=done, is_request=True, needs_lease=False)


def goals_of(items: Iterable[Item], cursors: Mapping[CursorId, Cursor]) -> dict[CursorId, Cursor]:
    """Return the cursors of these messages, each with the goal that the farthest one sets."""
    farthest: dict[CursorId, Item] = {}
    for item in items:
        if item.cursor is not None:
            before = farthest.get(item.cursor)
            if before is None or before.cause.position <= item.cause.position:
                farthest[item.cursor] = item
    return {
        name: _onward(cursors.get(name) or Cursor(name, 0, 0), item)
        for name, item in farthest.items()
    }


def _onward(cursor: Cursor, last: Item) -> Cursor:
    """Return the cursor with the goal that this item sets, unless it has come further already."""
    if last.cause.position < cursor.to:
        return cursor
    return replace(cursor, to=last.cause.position, hint=last.hint)


class Pulse(asyncio.Event):
    """An event that is over at once: when it is set, all who wait for it go on, any number."""

    beats = 0

    def set(self) -> None:
        self.beats += 1
        super().set()
        self.clear()

    async def after(self, beats: int, seconds: float) -> None:
        """Wait until it has been set since it had so many beats, `seconds` at most."""
        if self.beats == beats:
            await sleep_until(self, seconds)


class Signals:
    """Who is woken when something was written."""

    def __init__(self) -> None:
        self.calls = asyncio.Event()
        self.timers = asyncio.Event()
        self.events = asyncio.Event()
        self.parked = asyncio.Event()
        self.feed = Pulse()
        self._outbox = asyncio.Event()
        self._relays: dict[str, asyncio.Event] = {}
        self.named: Mapping[str, asyncio.Event] = {
            "outbox": self._outbox,
            "calls": self.calls,
            "timers": self.timers,
            "events": self.events,
            "parked": self.parked,
            "feed": self.feed,
        }
        """By the names under which instances tell each other."""

    def relay(self, broker: str) -> asyncio.Event:
        """Return what wakes the relay of a broker: each has its own, which nobody else clears."""
        return self._relays.setdefault(broker, asyncio.Event())

    def wake(self, name: str) -> None:
        """Wake whom a name stands for, if it stands for anybody."""
        if (signal := self.named.get(name)) is not None:
            signal.set()
        if signal is self._outbox:
            for relay in self._relays.values():
                relay.set()

    def tell(self, batch: Batch) -> None:
        """Wake everyone who has something to do now."""
        sent = {m.channel == BROKER for commit in batch.commits for m in commit.sends}
        for name, has_work in (
            ("outbox", True in sent),
            ("calls", False in sent),
            ("timers", any(commit.timers for commit in batch.commits)),
            ("events", any(commit.events for commit in batch.commits)),
            ("parked", any(commit.parks for commit in batch.commits)),
            ("feed", any(m.kind == Kind.EVENT for commit in batch.commits for m in commit.sends)),
        ):
            if has_work:
                self.wake(name)


class Awaited:
    """Commands whose answers somebody waits for, and which of them may have got one."""

    def __init__(self) -> None:
        self._commands: dict[str, set[UUID]] = {}
        self._told: set[UUID] = set()
        self.wake = asyncio.Event()

    def add(self, key: str, command: UUID) -> None:
        """Wait for an answer, which may be there already."""
        self._commands.setdefault(key, set()).add(command)
        self._told.add(command)
        self.wake.set()

    def discard(self, key: str, command: UUID) -> None:
        """Wait no longer."""
        if (commands := self._commands.get(key)) is not None:
            commands.discard(command)
            if not commands:
                del self._commands[key]

    def tell(self, batch: Batch) -> None:
        """Note what a batch says about a key for which somebody waits."""
        for commit in batch.commits if self._commands else ():
            for sent in commit.sends:
                if (commands := self._commands.get(sent.key)) is not None:
                    self._told |= commands
                    self.wake.set()

    def take(self) -> frozenset[UUID]:
        """Return the commands that may have been answered since this was asked last."""
        told, self._told = frozenset(self._told), set()
        self.wake.clear()
        return told
