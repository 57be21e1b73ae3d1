"""The store, as a port: one way to write (`append`), and the logs that are read.

Two adapters pass one conformance suite: `PostgresStore` and `MemoryStore`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from stagepost.engine.batch import Appended, Batch, Cursor, CursorId, Idempotency, Lease
from stagepost.engine.envelope import Envelope, Place


@dataclass(frozen=True, slots=True)
class Leadership:
    """Who holds a lease, under which epoch and for how many more seconds, and who waits for it."""

    holder: str | None = None
    epoch: int = 0
    expires_in: float = 0
    waiting: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Notification:
    """A stored event with its position in the service's log of all events."""

    position: int
    recorded_at: datetime
    event: StoredEvent
    correlation: UUID | None = None
    causation: UUID | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """What is stored of an aggregate: a snapshot, if it has one, and the events behind it."""

    events: Sequence[StoredEvent]
    snapshot: StoredEvent | None = None


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Event messages by position, and between what the whole feed lies.

    What stands at or before `begin` may be pruned. `end` is where the last event stands, or the
    beginning where there is none, and the incarnation of now.
    """

    messages: Sequence[Envelope]
    begin: int
    end: Place


@dataclass(frozen=True, slots=True)
class PendingCall:
    """A call that waits to be made: the outbox row and how often it was tried."""

    position: int
    channel: str
    lane: str
    attempt: int
    message: Envelope


@dataclass(frozen=True, slots=True)
class DueTimer:
    """A timer whose time has come."""

    message: Envelope
    due_at: datetime


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that could not be handled, or waits behind one of its key.

    `state` is parked (needs a person), waiting (behind a parked one), redrive, done or discarded.
    """

    id: int
    state: str
    reason: str
    attempts: int
    parked_at: datetime
    message: Envelope


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One line of a service's journal: a message that it sent, or one that it handled.

    `direction` is `out` or `in`; `outcome` says what the inbox recorded. Both directions draw
    their positions from one sequence, so that position order is commit order.
    """

    direction: str
    position: int
    id: UUID
    type: str
    kind: str
    peer: str | None
    key: str
    outcome: str | None
    detail: str | None
    correlation: UUID
    causation: UUID | None
    recorded_at: datetime


class Store(Protocol):
    """A service's own database: its events, outbox, inbox, timers, cursors and dead letters."""

    async def append(self, batch: Batch) -> Appended:
        """Store a batch in one transaction, and say what became of each commit.

        In order: a commit whose cause is in the inbox (or whose idempotency key is known, or whose
        call nobody waits for) is a duplicate; one whose events do not follow exactly on what is
        stored, and kept before it in this batch, is a conflict; one on a key or an aggregate of a
        commit that failed is behind. What is not kept leaves nothing. Each cursor moves to its
        `to`, or to just before the first of its commits that was neither kept nor a duplicate;
        one that does not stand where the batch believes is left alone.

        Raises:
            Fenced: the lease has passed on; or the database was set back, and what it had confirmed
                is gone. Nothing was written.
            OutcomeUnknown: ask again with the same batch.
            StoreUnavailable: nothing was written.
        """
        ...

    async def load(
        self, streams: Collection[UUID], *, from_start: bool = False
    ) -> dict[UUID, Stream]:
        """Return several streams; those without any events are left out.

        Of each, the newest snapshot and the events behind it; or all events, from the start.
        """
        ...

    async def keep_snapshots(self, snapshots: Collection[StoredEvent]) -> None:
        """Keep one snapshot of each of these streams: the newest that was ever given.

        One that is ahead of its stream is dropped.

        Raises:
            Fenced: the database was set back, and what it had confirmed is gone.
            StoreUnavailable
        """
        ...

    async def idempotent(self, keys: Collection[str]) -> dict[str, Idempotency]:
        """Return what was answered under these keys in the last 24 hours."""
        ...

    async def events(self, after: int, limit: int) -> list[Notification]:
        """Return events of all streams in the order in which they were committed."""
        ...

    async def outbox(self, after: int, limit: int) -> list[Envelope]:
        """Return messages for the broker, by position."""
        ...

    async def outbox_row(self, position: int) -> Envelope | None:
        """Return the message for the broker at exactly this position."""
        ...

    async def feed(self, after: int, limit: int) -> FeedPage:
        """Return events for whoever reads them, by position, and between what the feed lies."""
        ...

    async def pruned(self) -> dict[str, Place]:
        """Return the last event of each type that is no longer kept."""
        ...

    async def due_calls(
        self, limit: int, busy: Collection[str], full: Collection[str] = ()
    ) -> tuple[list[PendingCall], float | None]:
        """Return calls whose time has come, the oldest of each lane that is not in `busy`.

        Those of the channels in `full` are left out.

        Also returns in how many seconds the next one is due, None where none waits.
        """
        ...

    async def due_timers(self, limit: int) -> tuple[list[DueTimer], float | None]:
        """Return timers that are due, oldest first, and in how many seconds the next one is."""
        ...

    async def put_right(self, longest_retry: float) -> None:
        """Put right what is due by a clock that is set back since.

        A timer is due after the delay it was given, counted from now. A call that is put off for
        longer than any is, is due at once.
        """
        ...

    async def cursors(self, reader: str) -> dict[CursorId, Cursor]:
        """Return where a reader stands (`at`, `to` and `hint` as stored)."""
        ...

    async def incarnation(self) -> int:
        """Return which incarnation of this database the outbox's positions belong to."""
        ...

    async def raise_incarnation(
        self, incarnation: int, position: int, since: int, lease: Lease
    ) -> int:
        """Begin an incarnation beyond any known, with positions beyond this: we were set back.

        What was sent after `since` belongs to it already, and so does what is being appended.

        Raises:
            Fenced: the lease has passed on, or the database was set back once more.
        """
        ...

    async def take_lease(self, name: str, holder: str, seconds: float) -> Lease | None:
        """Take a lease under a new epoch: None while somebody else holds it.

        The same holder gets it at once: after a restart it fences what is left of its former self.
        Who does not get it counts as waiting for so many seconds. A lease that has longer to run
        than that was given by a clock that is set back since: it holds nobody up.
        """
        ...

    async def renew_lease(self, lease: Lease, seconds: float) -> bool:
        """Hold the lease for longer, under its epoch.

        False where it has passed on, or the clock is set back: then take it anew, and `put_right`.

        Raises:
            Fenced: the database was set back, and what it had confirmed is gone.
        """
        ...

    async def drop_lease(self, lease: Lease) -> None:
        """Give a lease back, so that nobody has to wait for it to expire."""
        ...

    async def stop_waiting(self, name: str, holder: str) -> None:
        """Forget that somebody waits for a lease."""
        ...

    async def leadership(self, name: str) -> Leadership:
        """Return who holds a lease, and who waits for it."""
        ...

    async def parked_keys(self) -> set[str]:
        """Return the keys with dead letters that are not done or discarded."""
        ...

    async def redrivable(self, limit: int) -> list[DeadLetter]:
        """Return dead letters to be handled again: asked for, or freed by the one before."""
        ...

    async def dead_letters(self, after: int, limit: int) -> list[DeadLetter]:
        """Return dead letters that are not done or discarded."""
        ...

    async def redrive(self, ids: Collection[int]) -> int:
        """Ask for dead letters to be handled again; return how many were parked."""
        ...

    async def discard(self, ids: Collection[int], reason: str) -> int:
        """Give open dead letters up for good; return how many there were."""
        ...

    async def has_heard(self, message: UUID) -> bool:
        """Tell whether a message is in the inbox, whatever was done about it."""
        ...

    async def discarded(self, message: UUID) -> str | None:
        """Return why a message was given up for good as a dead letter, None where it was not."""
        ...

    async def journal(self, key: str | None, after: int, limit: int) -> list[JournalEntry]:
        """Return what was sent and handled after a position, of one key or of all."""
        ...

    async def answers(self, commands: Collection[UUID]) -> list[tuple[UUID, Envelope]]:
        """Return what was told about the keys of these commands since each came, in order.

        Nothing of those that are parked. Whoever knows the contracts finds the answer among it.
        """
        ...

    async def unpublished(self, relays: Collection[str], limit: int) -> int:
        """Return how many messages wait for the slowest of these relays; `limit` at most."""
        ...

    async def backlog(self, relays: Collection[str]) -> dict[str, float]:
        """Return how much waits: outbox_pending, calls_pending, timers_pending, dead_letters."""
        ...
