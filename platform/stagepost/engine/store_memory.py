"""The store in memory: the same rules as in PostgreSQL, on a given clock, for tests and simulation.

No method waits for anything, so each is a transaction by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from stagepost.engine.batch import (
    BROKER,
    Appended,
    Batch,
    Commit,
    Cursor,
    CursorId,
    Handled,
    Idempotency,
    Lease,
    Outcome,
    Outgoing,
)
from stagepost.engine.clock import Clock
from stagepost.engine.envelope import Envelope, Place
from stagepost.engine.leases_memory import MemoryLeases
from stagepost.engine.store import (
    DeadLetter,
    DueTimer,
    FeedPage,
    JournalEntry,
    Notification,
    PendingCall,
    Stream,
)
from stagepost.engine.store_memory_work import Calls, Cursors, DeadLetters, Timers, page
from stagepost.messages import Kind

REMEMBERED = timedelta(hours=24)


class MemoryStore(MemoryLeases):
    """One service's database as dicts and lists; `source` is the service's name."""

    def __init__(self, source: str, clock: Clock) -> None:
        super().__init__(clock)
        self._source = source
        self._streams: dict[UUID | str, list[StoredEvent]] = {}
        self._snapshots: dict[UUID | str, StoredEvent] = {}
        self._events: list[Notification] = []
        self._position = 0
        self._journal: list[JournalEntry] = []
        self._heard: dict[UUID, int] = {}  # message id -> its place in the journal
        self._outbox: list[Envelope] = []
        self._calls = Calls()
        self._timers = Timers()
        self._letters = DeadLetters()
        self._cursors = Cursors()
        self._answers: dict[str, tuple[Idempotency, datetime]] = {}
        self._incarnation = 1
        self._pruned: dict[str, Place] = {}

    async def append(self, batch: Batch) -> Appended:
        if batch.lease is not None:
            self._refuse_older(batch.lease)
        outcomes: list[Outcome] = []
        responses: dict[int, Idempotency] = {}
        failed: set[str | UUID] = set()
        for index, commit in enumerate(batch.commits):
            outcome = self._outcome(commit, failed)
            outcomes.append(outcome)
            if outcome is Outcome.KEPT:
                self._keep(commit)
            elif outcome is not Outcome.DUPLICATE:
                failed |= _touched(commit)
            elif answer := self._answer(commit.idempotency):
                responses[index] = answer
            if commit.call is not None and outcome in {Outcome.KEPT, Outcome.DUPLICATE}:
                self._calls.answered(commit.call)
        for position, seconds, delivered in batch.retries:
            due_at = self._clock.now() + timedelta(seconds=seconds)
            self._calls.retry(position, due_at, delivered=delivered)
        moved = [
            self._cursors.move(cursor, _stop(batch.commits, outcomes, index))
            for index, cursor in enumerate(batch.cursors)
        ]
        return Appended(outcomes, moved, responses)

    def _outcome(self, commit: Commit, failed: set[str | UUID]) -> Outcome:
        if self._is_duplicate(commit):
            return Outcome.DUPLICATE
        if failed & _touched(commit):
            return Outcome.BEHIND
        return Outcome.KEPT if self._follows(commit) else Outcome.CONFLICT

    def _is_duplicate(self, commit: Commit) -> bool:
        if commit.redrives is None:
            known = commit.cause.id in self._heard
        else:
            known = not self._letters.awaits_redrive(commit.redrives)
        unwanted = commit.call is not None and commit.call not in self._calls
        return known or unwanted or self._answer(commit.idempotency) is not None

    def _answer(self, asked: Idempotency | None) -> Idempotency | None:
        if asked is None or asked.key not in self._answers:
            return None
        answer, at = self._answers[asked.key]
        return answer if at > self._clock.now() - REMEMBERED else None

    def _follows(self, commit: Commit) -> bool:
        if any(version != self._version(stream) for stream, version in commit.checks):
            return False
        heads: dict[UUID | str, int] = {}
        for event in commit.events:
            stream = event.originator_id
            head = heads.get(stream, self._version(stream))
            if event.originator_version != head + 1:
                return False
            heads[stream] = event.originator_version
        return True

    def _version(self, stream: UUID | str) -> int:
        stored = self._streams.get(stream)
        return stored[-1].originator_version if stored else 0

    def _keep(self, commit: Commit) -> None:
        at, cause = self._clock.now(), commit.cause
        if commit.redrives is None:
            self._hear(commit, at)
        else:
            self._hear_again(commit, commit.redrives)
        for event in commit.events:
            self._streams.setdefault(event.originator_id, []).append(event)
            position = len(self._events) + 1
            self._events.append(Notification(position, at, event, cause.correlation, cause.id))
        for message in commit.sends:
            self._send(message, cause, at)
        for timer in commit.timers:
            self._timers.set(timer, cause, self._source, at)
        if cause.kind == Kind.TIMER:
            self._timers.fired(cause)
        if commit.clears is not None:
            self._timers.clear(commit.clears)
        if commit.idempotency is not None:
            self._answers[commit.idempotency.key] = (commit.idempotency, at)

    def _hear(self, commit: Commit, at: datetime) -> None:
        self._heard[commit.cause.id] = len(self._journal)
        entry = self._entry("in", commit.cause, commit.cause.source, at)
        self._journal.append(replace(entry, outcome=commit.handled, detail=commit.detail))
        if commit.parks:
            self._letters.park(commit, at)

    def _hear_again(self, commit: Commit, letter: int) -> None:
        """Handle a dead letter after all; its message keeps its place in the journal."""
        self._letters.settle(letter, commit)
        place = self._heard[commit.cause.id]
        entry = self._journal[place]
        self._journal[place] = replace(entry, outcome=commit.handled, detail=commit.detail)

    def _send(self, message: Outgoing, cause: Envelope, at: datetime) -> None:
        sent = Envelope(
            id=message.id,
            type=message.type,
            version=message.version,
            kind=message.kind,
            source=self._source,
            key=message.key,
            correlation=cause.correlation,
            causation=cause.id,
            body=message.body,
            recipient=message.recipient,
            traceparent=cause.traceparent,
            incarnation=self._incarnation,
            position=self._position + 1,
            time=at,
        )
        if message.channel == BROKER:
            self._outbox.append(sent)
            self._journal.append(self._entry("out", sent, sent.recipient, at))
        else:
            assert message.lane is not None, "a call has a lane"
            if message.supersedes:
                self._calls.void(message.lane)
            self._calls.add(message.channel, message.lane, sent, at)
            self._journal.append(self._entry("out", sent, message.channel, at))

    def _entry(
        self, direction: str, message: Envelope, peer: str | None, at: datetime
    ) -> JournalEntry:
        self._position += 1
        return JournalEntry(
            direction=direction,
            position=self._position,
            id=message.id,
            type=message.type,
            kind=message.kind,
            peer=peer,
            key=message.key,
            outcome=None,
            detail=None,
            correlation=message.correlation,
            causation=message.causation,
            recorded_at=at,
        )

    async def load(
        self, streams: Collection[UUID], *, from_start: bool = False
    ) -> dict[UUID, Stream]:
        found = {}
        for stream in [stream for stream in streams if stream in self._streams]:
            snapshot = None if from_start else self._snapshots.get(stream)
            behind = self._streams[stream][snapshot.originator_version if snapshot else 0 :]
            found[stream] = Stream(behind, snapshot)
        return found

    async def keep_snapshots(self, snapshots: Collection[StoredEvent]) -> None:
        for new in snapshots:
            known = self._snapshots.get(new.originator_id)
            newest = known.originator_version if known else 0
            if newest < new.originator_version <= self._version(new.originator_id):
                self._snapshots[new.originator_id] = new

    async def idempotent(self, keys: Collection[str]) -> dict[str, Idempotency]:
        asked = (self._answer(Idempotency(key, b"", b"")) for key in keys)
        return {answer.key: answer for answer in asked if answer}

    async def events(self, after: int, limit: int) -> list[Notification]:
        return page(self._events, lambda event: event.position, after, limit)

    async def outbox(self, after: int, limit: int) -> list[Envelope]:
        return page(self._outbox, lambda message: message.position, after, limit)

    async def outbox_row(self, position: int) -> Envelope | None:
        found = await self.outbox(position - 1, 1)
        return found[0] if found and found[0].position == position else None

    async def feed(self, after: int, limit: int) -> FeedPage:
        events = [message for message in self._outbox if message.kind == Kind.EVENT]
        begin = max((place.position for place in self._pruned.values()), default=0)
        last = max(begin, events[-1].position if events else 0)
        messages = page(events, lambda message: message.position, after, limit)
        return FeedPage(messages, begin, Place(self._incarnation, last))

    async def pruned(self) -> dict[str, Place]:
        return self._pruned

    async def due_calls(
        self, limit: int, busy: Collection[str], full: Collection[str] = ()
    ) -> tuple[list[PendingCall], float | None]:
        return self._calls.due(limit, busy, full, self._clock.now())

    async def due_timers(self, limit: int) -> tuple[list[DueTimer], float | None]:
        return self._timers.due(limit, self._clock.now())

    async def put_right(self, longest_retry: float) -> None:
        now = self._clock.now()
        self._timers.put_right(now)
        self._calls.put_right(now, now + timedelta(seconds=longest_retry))

    async def cursors(self, reader: str) -> dict[CursorId, Cursor]:
        return self._cursors.of(reader)

    async def incarnation(self) -> int:
        return self._incarnation

    async def raise_incarnation(
        self, incarnation: int, position: int, since: int, lease: Lease
    ) -> int:
        self._refuse_older(lease)
        self._position = max(self._position, position)
        self._incarnation = max(self._incarnation, incarnation) + 1
        self._outbox = [
            replace(sent, incarnation=self._incarnation) if sent.position > since else sent
            for sent in self._outbox
        ]
        return self._incarnation

    async def parked_keys(self) -> set[str]:
        return self._letters.keys()

    async def redrivable(self, limit: int) -> list[DeadLetter]:
        return self._letters.redrivable()[:limit]

    async def dead_letters(self, after: int, limit: int) -> list[DeadLetter]:
        return page(self._letters.open(), lambda letter: letter.id, after, limit)

    async def redrive(self, ids: Collection[int]) -> int:
        return self._letters.redrive(ids)

    async def discard(self, ids: Collection[int], reason: str) -> int:
        return self._letters.discard(ids, reason)

    async def has_heard(self, message: UUID) -> bool:
        return message in self._heard

    async def discarded(self, message: UUID) -> str | None:
        return self._letters.discarded(message)

    async def journal(self, key: str | None, after: int, limit: int) -> list[JournalEntry]:
        entries = self._journal if key is None else [e for e in self._journal if e.key == key]
        return page(entries, lambda entry: entry.position, after, limit)

    async def answers(self, commands: Collection[UUID]) -> list[tuple[UUID, Envelope]]:
        came = [self._journal[self._heard[id_]] for id_ in commands if id_ in self._heard]
        handled = [entry for entry in came if entry.outcome != Handled.PARKED]
        return [
            (entry.id, sent)
            for sent in self._outbox
            for entry in handled
            if sent.kind == Kind.EVENT and sent.key == entry.key and sent.position > entry.position
        ]

    async def unpublished(self, relays: Collection[str], limit: int) -> int:
        slowest = self._cursors.slowest(relays, self._position)
        return min(limit, sum(1 for message in self._outbox if message.position > slowest))

    async def backlog(self, relays: Collection[str]) -> dict[str, float]:
        return {
            "outbox_pending": await self.unpublished(relays, len(self._outbox)),
            "calls_pending": len(self._calls),
            "timers_pending": len(self._timers),
            "dead_letters": len(self._letters.open()),
        }


def _touched(commit: Commit) -> set[str | UUID]:
    """Return what waits behind a commit that fails: its key and its aggregates."""
    changed = (event.originator_id for event in commit.events)
    return {commit.cause.key, *changed, *(stream for stream, _ in commit.checks)}


def _stop(commits: Sequence[Commit], outcomes: Sequence[Outcome], cursor: int) -> int | None:
    """Return the position just before the earliest commit of a cursor that failed, if one did."""
    failed = (Outcome.CONFLICT, Outcome.BEHIND)
    return min(
        (
            commit.cause.position - 1
            for commit, outcome in zip(commits, outcomes, strict=True)
            if commit.cursor == cursor and outcome in failed
        ),
        default=None,
    )
