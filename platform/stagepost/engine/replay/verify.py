"""Views and snapshots beside a fresh replay of their events, in flat memory, on a live store.

The replay goes into temporary tables, and the comparison is the database's. The session is the
auditor's: nothing else can be written there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from eventsourcing.persistence import StoredEvent
from eventsourcing.utils import TopicError, resolve_topic

from stagepost.aggregate import Aggregate, from_snapshot
from stagepost.engine.database import Connection, read_statements
from stagepost.engine.replay.compare import SHOWN, Difference, between, compare
from stagepost.engine.replay.fold import mutate, values_of
from stagepost.engine.replay.log import Entry, Log, Which
from stagepost.engine.replay.shadow import (
    AT_ONCE,
    STATEMENTS,
    Shadow,
    catch_up,
    live_position,
    live_table,
)
from stagepost.errors import StoreError, StoreUnavailable

SOME = 100
"""Snapshots that are read at once."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What was replayed: a view, the snapshots or just the events of a service.

    `count` is of rows, snapshots or events. `fault` says why not all of it could be compared.
    """

    service: str
    what: str
    position: int
    count: int
    differences: int = 0
    first: Sequence[Difference] = ()
    fault: str | None = None

    @property
    def is_equal(self) -> bool:
        return not self.differences and self.fault is None


class ViewsCheck:
    """The views of one service, folded anew in one pass, on a connection of the auditor."""

    def __init__(self, connection: Connection, log: Log, told: Callable[[int], None]) -> None:
        self._connection = connection
        self._log = log
        self._told = told
        self._shadows: dict[str, Shadow] = {}
        self._names: dict[str, dict[str, str]] = {}
        self._faults: dict[str, str] = {}
        self._fault: str | None = None
        self._at = 0
        self._events = 0

    async def run(self) -> list[Checked]:
        """Compare each view with its replay, at the position where the live one stands.

        Events that no view has folded yet are read all the same: one that cannot be is found.
        """
        await self._make()
        await self._fold(min((await self._live()).values(), default=0))
        async with self._connection.transaction(isolation="repeatable_read", readonly=True):
            views = [await self._compared(name, at) for name, at in (await self._live()).items()]
        await self._fold(await self._log.head())
        events = Checked(self._log.name, "events", self._at, self._events, fault=self._fault)
        return [events, *views]

    async def _make(self) -> None:
        """Make an empty table for each view: all that this session ever makes."""
        statements = read_statements(self._log.service.sql / "queries.sql")
        async with self._connection.transaction():
            await self._connection.execute("SET TRANSACTION READ WRITE")
            for view in self._log.service.views:
                names = await live_table(self._connection, view)
                await self._connection.execute(STATEMENTS["temporary"].format(**names))
                self._names[view.name] = names
                self._shadows[view.name] = Shadow(view, self._connection, statements)

    async def _live(self) -> dict[str, int]:
        return {name: await live_position(self._connection, name) for name in self._shadows}

    async def _fold(self, until: int) -> None:
        """Fold events into all views, up to the first that cannot be read."""
        if self._at >= until or self._fault is not None:
            return
        try:
            await self._log.read(self._fold_page, Which(self._at, until), limit=AT_ONCE)
            self._at = until
        except StoreUnavailable:
            raise
        except StoreError as error:
            self._fault = str(error)

    async def _fold_page(self, page: Sequence[Entry]) -> None:
        recorded = [entry.recorded() for entry in page]
        for name, shadow in self._shadows.items():
            if name not in self._faults:
                await self._try(name, shadow.fold(recorded))
        self._at = recorded[-1].position
        self._events += len(recorded)
        self._told(len(recorded))

    async def _compared(self, name: str, at: int) -> Checked:
        if name not in self._faults:
            await self._try(name, catch_up(self._log, self._shadows[name], at, _unsaid))
        names = self._names[name]
        rows = await self._connection.fetchval(STATEMENTS["rows"].format(**names))
        if (fault := self._faults.get(name)) is not None:
            return Checked(self._log.name, name, at, rows, fault=fault)
        found = await compare(self._connection, names, f"pg_temp.{names['view']}")
        return Checked(self._log.name, name, at, rows, found.differences, found.first)

    async def _try(self, name: str, work: Awaitable[None]) -> None:
        """Work on one view; what it cannot fold is its own fault, and no other's."""
        try:
            await work
        except StoreUnavailable:
            raise
        except StoreError as error:
            self._faults[name] = str(error)


def _unsaid(_: int) -> None:
    """Tell nothing of events that were told of already."""


async def check_snapshots(log: Log, told: Callable[[int], None]) -> Checked:
    """Fold the events of every snapshot, of each stream once.

    One of another release, which an engine leaves aside and writes anew, is left aside.
    """
    after: tuple[UUID, int] = (UUID(int=0), 0)
    count, differing = 0, 0
    first: list[Difference] = []
    folding = _Folding(log, told)
    while rows := await log.fetch(STATEMENTS["snapshots"], *after, SOME):
        for stored in (StoredEvent(*row) for row in rows):
            found = await _snapshot_differs(folding, stored)
            count, differing = count + 1, differing + bool(found)
            first += found if differing <= SHOWN else []
        after = rows[-1][0], rows[-1][1]
    return Checked(log.name, "snapshots", await log.head(), count, differing, tuple(first))


async def _snapshot_differs(folding: _Folding, stored: StoredEvent) -> list[Difference]:
    """Return how a snapshot is not what its events make of it."""
    name = f"{stored.topic} {stored.originator_id}"
    if _is_of_another_release(stored):
        return []
    try:
        kept = _state(from_snapshot(stored))
    except Exception as error:  # noqa: BLE001  # whatever is stored there
        return [Difference(name, "state", f"not to be read: {error!r}", "readable")]
    try:
        folded = await folding.state_at(UUID(str(stored.originator_id)), stored.originator_version)
    except StoreUnavailable:
        raise
    except StoreError as error:
        return [Difference(name, "events", kept, str(error))]
    return list(between(name, kept, folded))


class _Folding:
    """Streams, folded one after the other, each up to one version after the other."""

    def __init__(self, log: Log, told: Callable[[int], None]) -> None:
        self._log = log
        self._told = told
        self._aggregate: Aggregate | None = None

    async def state_at(self, stream: UUID, version: int) -> dict[str, Any] | None:
        """Return what events up to a version make, None where there are none."""
        kept, self._aggregate = self._aggregate, None  # none is left behind half folded
        aggregate = kept if kept is not None and kept.id == stream else None

        async def act(page: Sequence[Entry]) -> None:
            nonlocal aggregate
            for entry in page:
                aggregate = mutate(aggregate, entry)
            self._told(len(page))

        after = aggregate.version if aggregate else 0
        await self._log.read_stream(act, stream, after=after, until=version)
        self._aggregate = aggregate
        return None if aggregate is None else _state(aggregate)


def _state(aggregate: Aggregate) -> dict[str, Any]:
    return {"version": aggregate.version, **values_of(aggregate)}


def _is_of_another_release(stored: StoredEvent) -> bool:
    try:
        cls = resolve_topic(stored.topic)
        return bool(orjson.loads(stored.state)["class_version"] != cls.class_version)
    except TopicError:
        return True
    except (ValueError, LookupError, TypeError, AttributeError):
        return False
