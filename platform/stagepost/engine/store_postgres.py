"""The store in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Self
from uuid import UUID
from weakref import WeakSet

import asyncpg
from eventsourcing.persistence import StoredEvent

from stagepost.engine.append_arrays import arrays_of
from stagepost.engine.batch import Appended, Batch, Cursor, CursorId, Idempotency, Lease, Outcome
from stagepost.engine.database import (
    SQL,
    UNREACHABLE,
    Connection,
    Pool,
    PooledConnection,
    acquire,
    connected,
    fetch,
    is_passing,
    open_pool,
    read_statements,
)
from stagepost.engine.envelope import Envelope, Place
from stagepost.engine.store import (
    DeadLetter,
    DueTimer,
    FeedPage,
    JournalEntry,
    Leadership,
    Notification,
    PendingCall,
    Stream,
)
from stagepost.errors import Fenced, OutcomeUnknown, StoreUnavailable

_OUTCOMES = (Outcome.KEPT, Outcome.CONFLICT, Outcome.DUPLICATE, Outcome.BEHIND)
_STATEMENTS = read_statements(SQL / "queries.sql")
_FENCED = "SP001"


class PostgresStore:
    """The `Store` port on a service's own database, as the service's own role."""

    def __init__(self, pool: Pool, service: str) -> None:
        self._pool = pool
        self._service = service
        self._kept: UUID | None = None
        self._recognised: WeakSet[Connection] = WeakSet()
        self._set_back = False

    @classmethod
    async def connect(cls, dsn: str, service: str) -> Self:
        """Connect to the database of a service.

        Raises:
            StoreUnavailable
        """
        return cls(await open_pool(dsn), service)

    async def close(self) -> None:
        await self._pool.close()

    async def append(self, batch: Batch) -> Appended:
        connection = await acquire(self._pool)
        try:
            await self._recognise(connection)
            if batch.lease is not None:
                self._refuse_former_life()
            row = await connection.fetchrow(_STATEMENTS["append"], *arrays_of(batch))
        except UNREACHABLE as error:
            raise OutcomeUnknown(f"the connection was cut in mid-append: {error}") from error
        except asyncpg.PostgresError as error:
            if error.sqlstate == _FENCED:
                raise Fenced(str(error)) from error
            if is_passing(error):
                raise StoreUnavailable(f"the database cannot do it now: {error}") from error
            raise
        finally:
            await self._pool.release(connection)
        assert row is not None
        outcomes = [_OUTCOMES[n] for n in row["outcomes"]]
        for commit, outcome in zip(batch.commits, outcomes, strict=True):
            if outcome is Outcome.KEPT:
                self._kept = commit.cause.id
        return Appended(outcomes, row["positions"], _responses(batch, row))

    async def _recognise(self, connection: PooledConnection) -> None:
        """Make sure that a new connection leads to a database that has what was confirmed to us.

        Raises:
            Fenced: it was set back. Whoever leads must begin anew, with a new lease.
        """
        # By the connection itself, of which the pool lends proxies: a server's pids come again.
        ours: Connection = connection._con  # type: ignore[attr-defined]  # noqa: SLF001
        if ours in self._recognised:
            return
        if self._kept and not await connection.fetchval(_STATEMENTS["is_kept"], self._kept):
            self._kept, self._set_back = None, True
            self._refuse_former_life()
        self._recognised.add(ours)

    def _refuse_former_life(self) -> None:
        if self._set_back:
            raise Fenced("the database was set back: what it had confirmed is not there")

    async def load(
        self, streams: Collection[UUID], *, from_start: bool = False
    ) -> dict[UUID, Stream]:
        events: dict[UUID, list[StoredEvent]] = {}
        snapshots: dict[UUID, StoredEvent] = {}
        for row in await self._fetch("load", list(streams), from_start):
            stored = StoredEvent(row[0], row[1], row[2], row[3])
            behind = events.setdefault(row[0], [])
            if row[4]:
                snapshots[row[0]] = stored
            else:
                behind.append(stored)
        return {name: Stream(found, snapshots.get(name)) for name, found in events.items()}

    async def keep_snapshots(self, snapshots: Collection[StoredEvent]) -> None:
        columns = (
            [s.originator_id for s in snapshots],
            [s.originator_version for s in snapshots],
            [s.topic for s in snapshots],
            [s.state for s in snapshots],
        )
        self._refuse_former_life()
        await fetch(self._pool, _STATEMENTS["keep_snapshots"], *columns, first=self._recognise)

    async def idempotent(self, keys: Collection[str]) -> dict[str, Idempotency]:
        rows = await self._fetch("idempotent", list(keys))
        return {row["key"]: Idempotency(**row) for row in rows}

    async def events(self, after: int, limit: int) -> list[Notification]:
        return [
            Notification(position, at, StoredEvent(*event), correlation, causation)
            for position, at, *event, correlation, causation in await self._fetch(
                "events", after, limit
            )
        ]

    async def outbox(self, after: int, limit: int) -> list[Envelope]:
        return [Envelope(*row) for row in await self._fetch("outbox", after, limit, self._service)]

    async def outbox_row(self, position: int) -> Envelope | None:
        rows = await self._fetch("outbox_row", position)
        return self._sent(rows[0]) if rows else None

    async def feed(self, after: int, limit: int) -> FeedPage:
        rows = await self._fetch("feed", after, limit, self._service)
        begin, life, last = rows[0][:3]
        messages = [Envelope(*row[3:]) for row in rows if row["position"] is not None]
        return FeedPage(messages, begin, Place(life, last))

    async def pruned(self) -> dict[str, Place]:
        return {name: Place(*place) for name, *place in await self._fetch("pruned")}

    async def due_calls(
        self, limit: int, busy: Collection[str], full: Collection[str] = ()
    ) -> tuple[list[PendingCall], float | None]:
        rows = await self._fetch("due_calls", limit, list(busy), list(full))
        due = [
            PendingCall(
                row["position"], row["channel"], row["lane"], row["attempt"], self._sent(row)
            )
            for row in rows
            if row["due_in"] <= 0
        ]
        return due, _soonest(rows)

    async def due_timers(self, limit: int) -> tuple[list[DueTimer], float | None]:
        rows = await self._fetch("due_timers", limit)
        due = [
            DueTimer(
                _message(row, id=row["timer_id"], kind="timer", source=self._service),
                row["due_at"],
            )
            for row in rows
            if row["due_in"] <= 0
        ]
        return due, _soonest(rows)

    async def put_right(self, longest_retry: float) -> None:
        await self._fetch("put_right", longest_retry)

    async def cursors(self, reader: str) -> dict[CursorId, Cursor]:
        found = {}
        for row in await self._fetch("cursors", reader):
            name = CursorId(reader, row["source"], row["incarnation"], row["partition"])
            found[name] = Cursor(name, row["position"], row["position"], row["hint"])
        return found

    async def incarnation(self) -> int:
        return int((await self._fetch("incarnation"))[0][0])

    async def raise_incarnation(
        self, incarnation: int, position: int, since: int, lease: Lease
    ) -> int:
        self._refuse_former_life()
        known = (position, since, lease.name, lease.epoch, incarnation)
        async with connected(self._pool) as connection, connection.transaction():
            await self._recognise(connection)
            # A statement of its own: only the next one sees what was under way till then.
            await connection.execute(_STATEMENTS["lock_append"])
            raised = await connection.fetchval(_STATEMENTS["raise_incarnation"], *known)
        if raised is None:
            raise Fenced(f"the lease {lease.name} has passed on from epoch {lease.epoch}")
        return int(raised)

    async def take_lease(self, name: str, holder: str, seconds: float) -> Lease | None:
        rows = await self._fetch("take_lease", name, holder, seconds)
        if not rows:
            return None
        self._set_back = False
        return Lease(name, holder, rows[0]["epoch"])

    async def renew_lease(self, lease: Lease, seconds: float) -> bool:
        renew = (_STATEMENTS["renew_lease"], lease.name, lease.epoch, seconds)
        self._refuse_former_life()
        return bool(await fetch(self._pool, *renew, first=self._recognise))

    async def drop_lease(self, lease: Lease) -> None:
        await self._fetch("drop_lease", lease.name, lease.epoch)

    async def stop_waiting(self, name: str, holder: str) -> None:
        await self._fetch("stop_waiting", name, holder)

    async def leadership(self, name: str) -> Leadership:
        rows = await self._fetch("leadership", name)
        if not rows:
            return Leadership()
        row = rows[0]
        return Leadership(row["holder"], row["epoch"], row["expires_in"], tuple(row["waiting"]))

    async def parked_keys(self) -> set[str]:
        return {row["key"] for row in await self._fetch("parked_keys")}

    async def redrivable(self, limit: int) -> list[DeadLetter]:
        return [_dead_letter(row) for row in await self._fetch("redrivable", limit)]

    async def dead_letters(self, after: int, limit: int) -> list[DeadLetter]:
        return [_dead_letter(row) for row in await self._fetch("dead_letters", after, limit)]

    async def redrive(self, ids: Collection[int]) -> int:
        return len(await self._fetch("redrive", list(ids)))

    async def discard(self, ids: Collection[int], reason: str) -> int:
        return len(await self._fetch("discard", list(ids), reason))

    async def has_heard(self, message: UUID) -> bool:
        return bool((await self._fetch("is_kept", message))[0][0])

    async def discarded(self, message: UUID) -> str | None:
        return next((row["reason"] for row in await self._fetch("discarded", message)), None)

    async def journal(self, key: str | None, after: int, limit: int) -> list[JournalEntry]:
        rows = await (
            self._fetch("journal", after, limit)
            if key is None
            else self._fetch("journal_of_key", after, limit, key)
        )
        return [JournalEntry(*row) for row in rows]

    async def answers(self, commands: Collection[UUID]) -> list[tuple[UUID, Envelope]]:
        rows = await self._fetch("answers", list(commands), self._service)
        return [(row[0], Envelope(*row[1:])) for row in rows]

    async def unpublished(self, relays: Collection[str], limit: int) -> int:
        return int((await self._fetch("unpublished", list(relays), limit))[0][0])

    async def backlog(self, relays: Collection[str]) -> dict[str, float]:
        row = (await self._fetch("backlog", list(relays)))[0]
        return {name: float(value) for name, value in row.items()}

    async def _fetch(self, name: str, *args: Any) -> list[asyncpg.Record]:
        return await fetch(self._pool, _STATEMENTS[name], *args)

    def _sent(self, row: asyncpg.Record) -> Envelope:
        return _message(
            row,
            id=row["message_id"],
            kind=row["kind"],
            source=self._service,
            recipient=row.get("recipient"),
            traceparent=row["traceparent"],
            incarnation=row["incarnation"],
            position=row["position"],
            time=row["recorded_at"],
        )


def _responses(batch: Batch, row: asyncpg.Record) -> dict[int, Idempotency]:
    """Return what was answered to duplicate requests: stored before, or by this batch itself."""
    known = {
        n - 1: Idempotency(key, fingerprint, response)
        for n, key, fingerprint, response in zip(
            row["known_c"] or (),
            row["known_key"] or (),
            row["known_fingerprint"] or (),
            row["known_response"] or (),
            strict=True,
        )
    }
    kept: dict[str, Idempotency] = {}
    for n, (commit, outcome) in enumerate(zip(batch.commits, row["outcomes"], strict=True)):
        asked = commit.idempotency
        if asked is not None and _OUTCOMES[outcome] is Outcome.KEPT:
            kept[asked.key] = asked
        elif asked is not None and asked.key in kept:
            known[n] = kept[asked.key]
    return known


def _soonest(rows: Sequence[asyncpg.Record]) -> float | None:
    return min((row["due_in"] for row in rows if row["due_in"] > 0), default=None)


def _message(row: asyncpg.Record, **more: Any) -> Envelope:
    """Return a message from what every table says about it, and from what only this one does."""
    return Envelope(
        type=row["type"],
        version=row["version"],
        key=row["key"],
        correlation=row["correlation_id"],
        causation=row["causation_id"],
        body=row["body"],
        **more,
    )


def _dead_letter(row: asyncpg.Record) -> DeadLetter:
    message = _message(
        row,
        id=row["message_id"],
        kind=row["kind"],
        source=row["source"],
        recipient=row["recipient"],
        traceparent=row["traceparent"],
        incarnation=row["incarnation"],
        position=row["source_position"],
    )
    return DeadLetter(
        row["id"], row["state"], row["reason"], row["attempts"], row["parked_at"], message
    )
