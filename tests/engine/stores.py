"""What the tests of stores are written with: messages heard and sent, commits, and worlds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID, uuid5

import asyncpg
from eventsourcing.persistence import StoredEvent

from stagepost.engine.batch import (
    Appended,
    Batch,
    Commit,
    CursorId,
    Idempotency,
    Outcome,
    Outgoing,
    TimerSet,
)
from stagepost.engine.clock import ManualClock
from stagepost.engine.envelope import Envelope, Place
from stagepost.engine.ids import SeededIds
from stagepost.engine.store import Store
from stagepost.engine.store_memory import MemoryStore
from stagepost.engine.store_postgres import PostgresStore

SERVICE = "payments"
NAMES = UUID("0192d3a0-0000-7000-8000-000000000000")
KEPT, CONFLICT, DUPLICATE, BEHIND = Outcome
CONSUMER = CursorId("consumer", "ordering", incarnation=1)

_ids = SeededIds(1)


class World(Protocol):
    """A store, and time that can be made to pass."""

    @property
    def store(self) -> Store: ...

    async def later(self, seconds: float) -> None: ...

    async def prune(self, to: int) -> None:
        """Forget all that was sent up to a position, as an operator may."""
        ...


@dataclass
class MemoryWorld:
    clock: ManualClock
    store: MemoryStore

    @classmethod
    def new(cls) -> MemoryWorld:
        clock = ManualClock()
        return cls(clock, MemoryStore(SERVICE, clock))

    async def later(self, seconds: float) -> None:
        await self.clock.turn(seconds)

    async def prune(self, to: int) -> None:
        gone = [sent for sent in self.store._outbox if sent.position <= to]
        self.store._pruned |= {m.type: Place(m.incarnation, m.position) for m in gone}
        self.store._outbox = self.store._outbox[len(gone) :]


@dataclass
class PostgresWorld:
    """A database whose clock cannot be turned: instead, everything in it becomes older."""

    owner: asyncpg.Connection[asyncpg.Record]
    store: PostgresStore

    async def later(self, seconds: float) -> None:
        for row in await self.owner.fetch(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND data_type = 'timestamp with time zone'"
        ):
            table, column = row
            await self.owner.execute(
                f"UPDATE {table} SET {column} = {column} - make_interval(secs => $1)", seconds
            )

    async def prune(self, to: int) -> None:
        await self.owner.execute(
            "WITH gone AS (DELETE FROM outbox WHERE position <= $1 RETURNING *)"
            " INSERT INTO pruned"
            " SELECT type, max(incarnation), max(position) FROM gone GROUP BY type"
            " ON CONFLICT (type) DO UPDATE SET position = EXCLUDED.position",
            to,
        )

    async def empty(self) -> None:
        self.store._kept = None  # or a new connection would find that all was set back
        tables = await self.owner.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            " AND tablename NOT IN ('migrations', 'incarnation')"
        )
        names = ", ".join(row[0] for row in tables)
        await self.owner.execute(
            f"TRUNCATE {names} RESTART IDENTITY; ALTER SEQUENCE log_position RESTART;"
            " UPDATE incarnation SET incarnation = 1"
        )


def named(name: str) -> UUID:
    return uuid5(NAMES, name)


def heard(key: str = "10248", name: str | None = None, **known: Any) -> Envelope:
    """A message that comes in; those of one `name` have one id."""
    given = {
        "id": named(name) if name else _ids.new(),
        "type": "ordering.OrderPlaced",
        "version": 1,
        "kind": "event",
        "source": "ordering",
        "key": key,
        "correlation": named(f"correlation of {key}"),
        "causation": None,
        "body": b"{}",
    }
    return Envelope(**{**given, **known})


def happened(stream: str, version: int) -> StoredEvent:
    return StoredEvent(named(stream), version, "payments.Payment.Requested", b'{"amount":1}')


def told(key: str = "10248", **known: Any) -> Outgoing:
    """A message that goes out to the broker."""
    given = {
        "id": _ids.new(),
        "type": "payments.PaymentReceived",
        "version": 1,
        "kind": "event",
        "key": key,
        "body": b'{"amount":1}',
    }
    return Outgoing(**{**given, **known})


def called(key: str = "10248", **known: Any) -> Outgoing:
    """A message that goes out to the payment provider."""
    return told(
        key,
        **{"type": "payments.Charge", "kind": "call", "channel": "provider", "lane": key, **known},
    )


def reminder(key: str = "10248", delay: float = 10, name: str | None = None) -> TimerSet:
    timer_id = named(name) if name else _ids.new()
    return TimerSet(timer_id, "payments.AnswersDue", 1, key, b"{}", delay)


def answered(key: str, response: bytes = b"one", fingerprint: bytes = b"body") -> Idempotency:
    return Idempotency(key, fingerprint, response)


def writes(stream: str, *versions: int, key: str | None = None, **known: Any) -> Commit:
    """A commit with events of one aggregate; its message is about that aggregate."""
    cause = known.pop("cause", None) or heard(key or stream)
    return Commit(cause, events=[happened(stream, version) for version in versions], **known)


async def append(store: Store, *commits: Commit, **known: Any) -> Appended:
    return await store.append(Batch(commits, **known))


async def begin_anew(store: Store, since: int) -> int:
    """Begin a new incarnation, as the relay does; what was sent after `since` belongs to it."""
    lease = await store.take_lease("service", "one", 60)
    assert lease is not None
    return await store.raise_incarnation(1, 0, since, lease)


async def outcomes(store: Store, *commits: Commit, **known: Any) -> list[Outcome]:
    return list((await append(store, *commits, **known)).outcomes)


async def versions(store: Store, *streams: str) -> list[list[int]]:
    found = await store.load([named(stream) for stream in streams])
    return [
        [event.originator_version for event in found[named(s)].events] if named(s) in found else []
        for s in streams
    ]


def ids(messages: Sequence[Any]) -> list[UUID]:
    return [message.id for message in messages]
