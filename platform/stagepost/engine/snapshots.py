"""Snapshots: what the aggregates of long streams have become, written behind the desk's back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

import structlog
from eventsourcing.persistence import StoredEvent

from stagepost.aggregate import Aggregate, to_snapshot
from stagepost.engine.follow import follow
from stagepost.engine.store import Store
from stagepost.errors import Misuse, StoreError

GATHER = 1.0
"""Seconds; nobody waits for a snapshot."""

LIMIT = 1000
"""Snapshots written at once."""

log = structlog.get_logger(__name__)


def taken(changed: Iterable[Aggregate], asked: Mapping[UUID, int]) -> list[StoredEvent]:
    """Return snapshots of those that have passed a multiple of their SNAPSHOT_EVERY.

    `asked` says at which version each was before. One that cannot be taken is no fault of the
    message that is handled.
    """
    snapshots = []
    for aggregate in changed:
        every = aggregate.SNAPSHOT_EVERY
        if every and aggregate.version // every > asked.get(aggregate.id, 0) // every:
            try:
                snapshots.append(to_snapshot(aggregate))
            except Misuse as error:
                log.warning("no snapshot", reason=str(error))
    return snapshots


class Snapshots:
    """Keeps what the desk has taken, once its events are stored; what is lost costs only time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._newest: dict[UUID | str, StoredEvent] = {}
        self._wake = asyncio.Event()

    def put(self, snapshots: Iterable[StoredEvent]) -> None:
        """Write these soon."""
        for snapshot in snapshots:
            self._newest[snapshot.originator_id] = snapshot
            self._wake.set()

    def clear(self) -> None:
        """Write none of those that wait: what they rest on may be gone."""
        self._newest.clear()

    async def run(self) -> None:
        """Write until cancelled."""
        await follow(self._take, self._keep, self._wake, limit=LIMIT, gather=GATHER)

    async def _take(self, limit: int) -> list[StoredEvent]:
        names = list(self._newest)[:limit]
        return [self._newest.pop(name) for name in names]

    async def _keep(self, snapshots: Sequence[StoredEvent]) -> None:
        try:
            await self._store.keep_snapshots(snapshots)
        except StoreError as error:
            log.info("snapshots not kept", reason=str(error), streams=len(snapshots))
