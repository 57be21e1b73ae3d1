"""The memory store's tables of work: calls, timers and dead letters that wait, and cursors."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from stagepost.engine.batch import Commit, Cursor, CursorId, TimerSet
from stagepost.engine.envelope import Envelope
from stagepost.engine.store import DeadLetter, DueTimer, PendingCall
from stagepost.messages import Kind

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Waiting:
    call: PendingCall
    due_at: datetime


class Calls:
    """Messages to the outside world that are not answered yet, by their position in the outbox."""

    def __init__(self) -> None:
        self._waiting: dict[int, _Waiting] = {}

    def __contains__(self, position: int) -> bool:
        return position in self._waiting

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, channel: str, lane: str, message: Envelope, due_at: datetime) -> None:
        call = PendingCall(message.position, channel, lane, 0, message)
        self._waiting[message.position] = _Waiting(call, due_at)

    def answered(self, position: int) -> None:
        self._waiting.pop(position, None)

    def void(self, lane: str) -> None:
        """Forget the calls of a lane: nobody waits for their answers any more."""
        self._waiting = {n: w for n, w in self._waiting.items() if w.call.lane != lane}

    def retry(self, position: int, due_at: datetime, *, delivered: bool) -> None:
        if waiting := self._waiting.get(position):
            lane = f"delivered/{position}" if delivered else waiting.call.lane
            call = replace(waiting.call, attempt=waiting.call.attempt + 1, lane=lane)
            self._waiting[position] = _Waiting(call, due_at)

    def put_right(self, now: datetime, latest: datetime) -> None:
        for position, waiting in self._waiting.items():
            if waiting.due_at > latest:
                self._waiting[position] = replace(waiting, due_at=now)

    def due(
        self, limit: int, busy: Collection[str], full: Collection[str], now: datetime
    ) -> tuple[list[PendingCall], float | None]:
        oldest: dict[str, _Waiting] = {}
        for waiting in self._waiting.values():
            oldest.setdefault(waiting.call.lane, waiting)
        idle = [
            waiting
            for lane, waiting in oldest.items()
            if lane not in busy and waiting.call.channel not in full
        ]
        idle.sort(key=lambda waiting: (waiting.due_at, waiting.call.position))
        due, later = _split(idle[:limit], lambda waiting: waiting.due_at, now)
        return [waiting.call for waiting in due], later


class Timers:
    """Timers that have neither fired nor been cleared, by id, and when each was set."""

    def __init__(self) -> None:
        self._waiting: dict[UUID, tuple[DueTimer, datetime]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def set(self, timer: TimerSet, cause: Envelope, source: str, at: datetime) -> None:
        message = Envelope(
            id=timer.id,
            type=timer.type,
            version=timer.version,
            kind=Kind.TIMER,
            source=source,
            key=timer.key,
            correlation=cause.correlation,
            causation=cause.id,
            body=timer.body,
        )
        due = DueTimer(message, at + timedelta(seconds=timer.delay))
        self._waiting.setdefault(timer.id, (due, at))

    def put_right(self, now: datetime) -> None:
        for name, (timer, at) in self._waiting.items():
            if at > now:
                self._waiting[name] = replace(timer, due_at=timer.due_at - (at - now)), now

    def fired(self, message: Envelope) -> None:
        self._waiting.pop(message.id, None)

    def clear(self, key: str) -> None:
        self._waiting = {i: t for i, t in self._waiting.items() if t[0].message.key != key}

    def due(self, limit: int, now: datetime) -> tuple[list[DueTimer], float | None]:
        timers = (timer for timer, _ in self._waiting.values())
        waiting = sorted(timers, key=lambda t: (t.due_at, t.message.id))
        return _split(waiting[:limit], lambda timer: timer.due_at, now)


class DeadLetters:
    """Messages that could not be handled, and those that wait behind them, by number."""

    def __init__(self) -> None:
        self._letters: dict[int, DeadLetter] = {}

    def awaits_redrive(self, number: int) -> bool:
        letter = self._letters.get(number)
        return letter is not None and _is_freed(letter)

    def park(self, commit: Commit, at: datetime) -> None:
        number = len(self._letters) + 1
        state = "waiting" if commit.cause.key in self.keys() else "parked"
        reason = commit.detail or "no reason given"
        self._letters[number] = DeadLetter(number, state, reason, 1, at, commit.cause)

    def settle(self, number: int, commit: Commit) -> None:
        """Say what became of a letter that was handled again: done, or parked once more."""
        letter = self._letters[number]
        self._letters[number] = replace(
            letter,
            state="parked" if commit.parks else "done",
            attempts=letter.attempts + 1,
            reason=commit.detail or letter.reason,
        )

    def open(self) -> list[DeadLetter]:
        return [d for d in self._letters.values() if d.state not in {"done", "discarded"}]

    def keys(self) -> set[str]:
        return {letter.message.key for letter in self.open()}

    def redrivable(self) -> list[DeadLetter]:
        first: dict[str, DeadLetter] = {}
        for letter in self.open():
            first.setdefault(letter.message.key, letter)
        return [letter for letter in first.values() if _is_freed(letter)]

    def redrive(self, numbers: Collection[int]) -> int:
        parked = [d for d in self.open() if d.id in numbers and d.state == "parked"]
        for letter in parked:
            self._letters[letter.id] = replace(letter, state="redrive")
        return len(parked)

    def discard(self, numbers: Collection[int], reason: str) -> int:
        unwanted = [letter for letter in self.open() if letter.id in numbers]
        for letter in unwanted:
            why = f"{letter.reason}; discarded: {reason}"
            self._letters[letter.id] = replace(letter, state="discarded", reason=why)
        return len(unwanted)

    def discarded(self, message: UUID) -> str | None:
        given_up = (d for d in self._letters.values() if d.state == "discarded")
        return next((d.reason for d in given_up if d.message.id == message), None)


class Cursors:
    """How far each reader has come in each log."""

    def __init__(self) -> None:
        self._stored: dict[CursorId, Cursor] = {}

    def move(self, cursor: Cursor, stop: int | None) -> int:
        """Move to its goal, or no further than `stop`; return where it stands then."""
        stored = self._stored.get(cursor.id, Cursor(cursor.id, 0, 0))
        if stored.at != cursor.at:
            return stored.at
        to = cursor.to if stop is None else max(cursor.at, stop)
        hint = (cursor.hint if stop is None else 0) or stored.hint
        self._stored[cursor.id] = Cursor(cursor.id, to, to, hint)
        return to

    def of(self, reader: str) -> dict[CursorId, Cursor]:
        return {name: cursor for name, cursor in self._stored.items() if name.reader == reader}

    def slowest(self, relays: Collection[str], end: int) -> int:
        """Return where the slowest of these stands; at the end where there are none."""
        stands = dict.fromkeys(relays, 0)
        stands |= {i.reader: c.at for i, c in self._stored.items() if i.reader in stands}
        return min(stands.values(), default=end)


def page(rows: list[T], position: Callable[[T], int], after: int, limit: int) -> list[T]:
    """Return rows, sorted by position, that stand after a position."""
    start = bisect_right(rows, after, key=position)
    return rows[start : start + limit]


def _is_freed(letter: DeadLetter) -> bool:
    return letter.state in {"redrive", "waiting"}


def _split(
    waiting: list[T], due_at: Callable[[T], datetime], now: datetime
) -> tuple[list[T], float | None]:
    """Part what is due from what is not, and say in how many seconds the first of those is."""
    due = bisect_right(waiting, now, key=due_at)
    later = waiting[due:]
    return waiting[:due], (due_at(later[0]) - now).total_seconds() if later else None
