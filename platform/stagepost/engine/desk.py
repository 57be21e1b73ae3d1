"""The desk: takes messages in batches, decides, and appends what was decided in one transaction.

Everything that changes a service comes over its desk, whoever sent it: requests over HTTP,
messages from the broker, timers, answers of the outside world, redriven dead letters. So there is
one place where a batch is formed, one cache, one way to write; and concurrent requests share a
transaction (group commit: whatever arrives while one is under way is the next).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar
from uuid import UUID

import structlog

from stagepost.aggregate import Aggregate, stream_id
from stagepost.engine.batch import Appended, Batch, Cursor, CursorId, Lease, Outcome
from stagepost.engine.decide import Decider, Loaded
from stagepost.engine.decisions import Decisions, patiently, rebuild
from stagepost.engine.envelope import Envelope
from stagepost.engine.follow import follow
from stagepost.engine.idempotency import Idempotent
from stagepost.engine.ids import Ids
from stagepost.engine.items import Awaited, Item, Signals, Source, goals_of, request_item
from stagepost.engine.snapshots import Snapshots
from stagepost.engine.store import JournalEntry, Store
from stagepost.engine.telemetry import Metrics
from stagepost.errors import Fenced, NoRoom, OutcomeUnknown
from stagepost.messages import Request

A = TypeVar("A", bound=Aggregate)

MAX_BATCH = 256
"""Messages in one transaction at most: beyond that a batch gains nothing and waits longer."""

MAX_WAITING = 4096
"""Requests that may be under way, or lie on the desk: who asks beyond is turned away at once."""

REQUEST_SECONDS = 10.0
"""How long somebody who asks over HTTP waits at most; then the outcome is unknown to them."""

log = structlog.get_logger(__name__)


class Desk:
    """Works off the messages of one service, one batch after the other."""

    def __init__(
        self, decider: Decider, store: Store, ids: Ids, service: str, metrics: Metrics
    ) -> None:
        self._decisions = Decisions(decider, store)
        self._store = store
        self._ids = ids
        self._service = service
        self._metrics = metrics
        self._waiting: deque[Item] = deque()
        self._asking = 0
        self._idempotent = Idempotent(store)
        self._brought: dict[UUID, asyncio.Future[Any]] = {}
        self._sources: dict[str, Source] = {}
        self._cursors: dict[CursorId, Cursor] = {}
        self._lease: Lease | None = None
        self._at_work = asyncio.Lock()
        self.wake = asyncio.Event()
        self.signals = Signals()
        self.awaited = Awaited()
        self.snapshots = Snapshots(store)
        self.fenced = asyncio.Event()

    # What services ask.

    async def request(
        self, request: Request, idempotency_key: str | None = None, fingerprint: bytes = b""
    ) -> Any:
        """Carry out a request and return the decision's answer, once it is stored.

        With an idempotency key the first answer is kept for 24 hours; it comes back as the JSON
        that it was then.

        Raises:
            Refused: it cannot be granted; `Unprocessable` where the key belongs to another request.
            NoRoom: it would change something, and there is no room for new work.
            OutcomeUnknown: not known within the time limit; ask again under the same key.
        """

        def lay_out() -> Item:
            return request_item(request, self._ids.new(), self._service)

        async with self._asks(request.TYPE, "ask again, with the same Idempotency-Key"):
            if idempotency_key is None:
                return await self._ask(lay_out())
            return await self._idempotent.once(idempotency_key, fingerprint, lay_out, self._ask)

    async def take_in(self, command: Envelope) -> None:
        """Handle a command that somebody brought, once; return when what came of it is stored.

        Raises:
            NoRoom: too much lies on the desk.
            OutcomeUnknown: not known within the time limit; bring it again.
        """
        async with self._asks(command.type, "bring it again, under the same id"):
            if (done := self._brought.get(command.id)) is None:  # else it lies here already
                done = self._brought[command.id] = asyncio.get_running_loop().create_future()
                done.add_done_callback(lambda _: self._brought.pop(command.id, None))
                self.put(Item(command, done=done, needs_lease=False))
            await asyncio.shield(done)

    @asynccontextmanager
    async def _asks(self, what: str, again: str) -> AsyncIterator[None]:
        """Let somebody ask where not too many do, and wait for so long at most."""
        if max(self._asking, len(self._waiting)) >= MAX_WAITING:
            raise NoRoom(f"{MAX_WAITING:,} requests wait already")
        self._asking += 1
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                yield
        except TimeoutError:
            raise OutcomeUnknown(
                f"{what} was not stored within {REQUEST_SECONDS:.0f} s: {again}"
            ) from None
        finally:
            self._asking -= 1

    def new_id(self) -> str:
        """Return an id for something new; later ones sort after earlier ones."""
        return str(self._ids.new())

    async def find(self, cls: type[A], stream: str) -> A | None:
        """Return an aggregate as it is stored now, None where there is none."""
        return Loaded(await rebuild(self._store, [stream_id(stream)])).one(cls, stream)

    async def journal(self, key: str | None, after: int, limit: int) -> list[JournalEntry]:
        """Return what this service sent and handled after a position, of one key or of all."""
        return await self._store.journal(key, after, limit)

    async def _ask(self, item: Item) -> Any:
        self.put(item)
        assert item.done is not None
        try:
            return await asyncio.shield(item.done)
        finally:
            del item  # a refusal holds this frame: that must not lead back to it

    def put(self, item: Item) -> None:
        """Lay a message on the desk. Its `done` gets the answer, or the fault that kept it away."""
        self._waiting.append(item)
        self.wake.set()

    @property
    def no_room(self) -> str | None:
        """Why requests that would change something are turned away, while they are."""
        return self._decisions.no_room

    @no_room.setter
    def no_room(self, lacking: str | None) -> None:
        self._decisions.no_room = lacking

    # What the holder of the lease gives it.

    def lead(self, lease: Lease, cursors: Iterable[Cursor], parked: Iterable[str]) -> None:
        """From now on handle messages too, moving these cursors, under this lease."""
        self._lease = lease
        self._cursors = {cursor.id: cursor for cursor in cursors}
        self._decisions.cache.clear()
        self._decisions.parked = set(parked)
        self.fenced.clear()

    def read_from(self, transport: str, source: Source | None) -> None:
        """Read messages of a transport from here; None while it cannot be reached."""
        if source is None:
            self._sources.pop(transport, None)
        else:
            self._sources[transport] = source
        self.wake.set()

    @property
    def parked(self) -> frozenset[str]:
        """Keys whose messages wait for a person."""
        return frozenset(self._decisions.parked)

    async def look_at_parked(self) -> None:
        """Learn anew which keys wait: between two batches, so that none is parked meanwhile."""
        async with self._at_work:
            self._decisions.parked = await self._store.parked_keys()

    def step_down(self) -> None:
        """Drop what belongs to the lease, which is gone; keep what was asked over HTTP."""
        self._lease = None
        self._sources.clear()
        self.snapshots.clear()
        self._waiting = deque(item for item in self._waiting if not item.needs_lease)

    # The loop.

    async def run(self) -> None:
        """Work until cancelled. A batch under way ends first where `drain` is called before."""
        try:
            await follow(self._take, self._work_off, self.wake, limit=MAX_BATCH)
        except Exception:
            # What was read and not stored must be read again, before anything behind it.
            self._sources.clear()
            raise
        finally:
            self._decisions.cache.clear()

    async def drain(self) -> None:
        """Wait for the batch under way, finish what is on the desk, read nothing new."""
        self._sources.clear()
        for _ in range(2):  # between them comes a batch that was off the desk, but not at work yet
            async with self._at_work:
                while items := await self._take(MAX_BATCH):
                    await self._handle(items)

    async def _take(self, limit: int) -> list[Item]:
        waiting = min(limit, len(self._waiting))
        read: list[Item] = []
        for source in self._sources.values():  # first: if one fails, what waits is still here
            if waiting + len(read) < limit:
                read.extend(source(limit - waiting - len(read)))
        return [*(self._waiting.popleft() for _ in range(waiting)), *read]

    async def _work_off(self, items: Sequence[Item]) -> None:
        async with self._at_work:
            try:
                await self._handle(items)
            except Exception as error:
                # Whoever laid them here must not wait for ever; what was read is read again.
                for item in items:
                    item.fail(error)
                raise

    async def _handle(self, items: Sequence[Item]) -> None:
        # Whatever becomes of the lease on the way: all of this is written under it, or not at all.
        lease = self._lease
        ours = items if lease is not None else [item for item in items if not item.needs_lease]
        fresh = [item for item in ours if not self._is_old(item)]
        if any(item.is_brought for item in fresh):
            # The one before it may have been brought to another instance, and parked there.
            self._decisions.parked = await patiently(self._store.parked_keys)
        decided = await self._decisions.decide(fresh)
        self._put_back(self._decisions.put_off)
        if not decided:
            return
        try:
            self._put_back(await self._append(decided, lease))
        except Fenced:
            self._lose(lease, decided)
        except Exception as error:  # noqa: BLE001  # one of them cannot be stored: find it
            log.warning("batch refused", reason=str(error), commits=len(decided))
            await self._append_apart(decided, lease)

    def _is_old(self, item: Item) -> bool:
        """Tell whether a message lies at or before its cursor: it was handled before."""
        if item.cursor is None:
            return False
        cursor = self._cursors.setdefault(item.cursor, Cursor(item.cursor, 0, 0))
        return item.cause.position <= cursor.at

    async def _append(self, items: Sequence[Item], lease: Lease | None) -> list[Item]:
        """Append what was decided; return what must be decided again, before anything else."""
        batch = self._batch(items, lease)
        with self._metrics.append_seconds.time():
            appended = await patiently(lambda: self._store.append(batch))
        again = self._settle(batch, items, appended)
        if _parked_before(batch, appended):
            self._decisions.parked = await patiently(self._store.parked_keys)
        return again

    def _batch(self, items: Sequence[Item], lease: Lease | None) -> Batch:
        goals = goals_of(items, self._cursors)
        numbers = {name: number for number, name in enumerate(goals)} | {None: None}
        commits = [item.commit(numbers[item.cursor]) for item in items]
        needs_lease = any(item.needs_lease for item in items)
        return Batch(commits, list(goals.values()), lease=lease if needs_lease else None)

    def _settle(self, batch: Batch, items: Sequence[Item], appended: Appended) -> list[Item]:
        for cursor, position in zip(batch.cursors, appended.cursors, strict=True):
            self._cursors[cursor.id] = replace(cursor, at=position)
        again: list[Item] = []
        for number, (item, outcome) in enumerate(zip(items, appended.outcomes, strict=True)):
            assert item.decided is not None
            if outcome is not Outcome.KEPT:
                self._decisions.cache.forget(item.decided.touched)
            if outcome in {Outcome.CONFLICT, Outcome.BEHIND}:
                again.append(item)
                continue
            if outcome is Outcome.KEPT:
                if item.decided.commit.parks:
                    self._decisions.parked.add(item.cause.key)
                self.snapshots.put(item.decided.snapshots)
            item.finish(appended.responses.get(number) or item.decided.answer)
        self._metrics.count(batch, appended)
        self.signals.tell(batch)
        self.awaited.tell(batch)
        return again

    def _put_back(self, items: Sequence[Item]) -> None:
        """Decide again, before anything else, and without what was decided before."""
        for item in items:
            if item.decided is not None:
                self._decisions.cache.forget(item.decided.touched)
                item.decided = None
        self._waiting.extendleft(reversed(items))
        if items:
            self.wake.set()

    def _lose(self, lease: Lease | None, items: Iterable[Item]) -> None:
        """Stop, unless we hold a newer lease by now: this one has passed on. Requests need none."""
        log.warning("lease lost", lease=lease)
        self._decisions.cache.clear()
        if lease is self._lease:
            self.step_down()
            self.fenced.set()
        self._put_back([item for item in items if not item.needs_lease])

    async def _append_apart(self, items: Sequence[Item], lease: Lease | None) -> None:
        """Append one by one, up to the first that the store refuses: it is parked, or fails.

        All behind it are decided again, before anything else: a cursor never moves past a message
        that was put back.
        """
        for number, item in enumerate(items):
            try:
                again, is_refused = await self._append_alone(item, lease)
            except Fenced:
                self._lose(lease, items[number:])
                return
            if again or is_refused:
                self._put_back([*again, *items[number + 1 :]])
                return

    async def _append_alone(self, item: Item, lease: Lease | None) -> tuple[list[Item], bool]:
        """Append one; return what must be decided again, and whether the store refused it."""
        try:
            return await self._append([item], lease), False
        except Fenced:
            raise
        except Exception as error:  # noqa: BLE001  # this is the one
            return await self._give_up(item, error, lease), True

    async def _give_up(self, item: Item, error: Exception, lease: Lease | None) -> list[Item]:
        assert item.decided is not None
        self._decisions.cache.forget(item.decided.touched)
        if item.is_request:
            item.fail(error)
            return []
        item.park(f"cannot be stored: {error}")
        return await self._append([item], lease)


def _parked_before(batch: Batch, appended: Appended) -> bool:
    """Tell whether a message to be parked was handled, or parked, when it was first tried.

    The connection may have broken after the commit, and nobody told us what came of it.
    """
    outcomes = zip(batch.commits, appended.outcomes, strict=True)
    return any(commit.parks and outcome is Outcome.DUPLICATE for commit, outcome in outcomes)
