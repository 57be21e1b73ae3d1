"""The test classes that ship with the `eventsourcing` library, on our tables and our `append`."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import replace
from threading import Thread
from typing import Any, TypeVar
from uuid import UUID, uuid4, uuid5

import pytest
from eventsourcing.persistence import (
    IntegrityError,
    ListenNotifySubscription,
    Notification,
    ProcessRecorder,
    StoredEvent,
    Tracking,
)
from eventsourcing.tests import persistence as shipped

from stagepost.engine import batch
from stagepost.engine.store_postgres import PostgresStore
from tests.conftest import Database
from tests.engine.stores import KEPT, NAMES, SERVICE, PostgresWorld, heard, outcomes

T = TypeVar("T")
READER = "tracking"


class Recorder(ProcessRecorder):
    """The library's blocking recorder in front of our store, which lives on a loop of its own.

    What a recorder tracks is a cursor of ours. Some of the library's streams begin at version 0,
    ours at 1: those are stored one higher.
    """

    def __init__(self, dsn: str) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever)
        self._thread.start()
        self._store = self._run(PostgresStore.connect(dsn, SERVICE))
        self._from_zero: set[UUID | str] = set()
        self._subscriptions: list[Subscription] = []

    def close(self) -> None:
        self._run(self._store.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        ids = self._run(self._insert(stored_events, kwargs.get("tracking")))
        for subscription in self._subscriptions:
            subscription.notify()
        return ids

    def insert_tracking(self, tracking: Tracking) -> None:
        self._run(self._insert([], tracking))

    async def _insert(self, events: Sequence[StoredEvent], tracking: Tracking | None) -> list[int]:
        self._from_zero |= {e.originator_id for e in events if e.originator_version == 0}
        events = [self._shifted(event, 1) for event in events]
        commit = batch.Commit(heard(id=uuid4()), events=events)
        cursors = []
        if tracking is not None:
            moved = await self._moved(tracking)
            cursors.append(moved)
            # Where the commit fails, the cursor stays just before it: where it stands.
            cause = heard(id=uuid5(NAMES, str(tracking)), position=moved.at + 1)
            commit = replace(commit, cause=cause, cursor=0)
        if await outcomes(self._store, commit, cursors=cursors) != [KEPT]:
            raise IntegrityError(f"not stored: {events} {tracking}")
        rows = await self._store._pool.fetch(
            "SELECT notification_id FROM stored_events"
            " WHERE originator_id = ANY ($1) AND causation_id = $2 ORDER BY notification_id",
            [event.originator_id for event in events],
            commit.cause.id,
        )
        return [row[0] for row in rows]

    async def _moved(self, tracking: Tracking) -> batch.Cursor:
        name = batch.CursorId(READER, tracking.application_name)
        stored = (await self._store.cursors(READER)).get(name, batch.Cursor(name, 0, 0))
        if tracking.notification_id <= stored.at:
            raise IntegrityError(f"{tracking} is at or before {stored.at}")
        return replace(stored, to=tracking.notification_id)

    def _shifted(self, event: StoredEvent, by: int) -> StoredEvent:
        if event.originator_id not in self._from_zero:
            return event
        return replace(event, originator_version=event.originator_version + by)

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        assert isinstance(originator_id, UUID)
        stream = self._run(self._store.load([originator_id])).get(originator_id)
        stored = stream.events if stream else []
        found = [
            event
            for event in (self._shifted(event, -1) for event in stored)
            if (gt is None or event.originator_version > gt)
            and (lte is None or event.originator_version <= lte)
        ]
        return (found[::-1] if desc else found)[:limit]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        after = (start or 0) - (1 if inclusive_of_start else 0)
        log = self._run(self._store.events(after, 10_000 if topics else limit))
        return [
            Notification(**vars(self._shifted(found.event, -1)), id=found.position)
            for found in log
            if (stop is None or found.position <= stop)
            and (not topics or found.event.topic in topics)
        ][:limit]

    def max_notification_id(self) -> int | None:
        last: int | None = self._run(
            self._store._pool.fetchval("SELECT max(notification_id) FROM stored_events")
        )
        return last

    def max_tracking_id(self, application_name: str) -> int | None:
        name = batch.CursorId(READER, application_name)
        cursor = self._run(self._store.cursors(READER)).get(name)
        return cursor.at if cursor else None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription:
        self._subscriptions.append(Subscription(self, gt, topics))
        return self._subscriptions[-1]


class AggregatesOnly(Recorder):
    """The library's recorders of aggregates alone do not say at which positions they wrote."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> None:
        super().insert_events(stored_events, **kwargs)


class Subscription(ListenNotifySubscription[Any]):
    def notify(self) -> None:
        self._has_been_notified.set()


class OnOurTables:
    """Gives each of the library's tests an empty store."""

    recorder_class = Recorder
    recorder: Recorder

    @pytest.fixture(autouse=True)
    def empty_store(
        self, postgres_world: PostgresWorld, store_database: Database
    ) -> Iterator[None]:
        self.recorder = self.recorder_class(store_database.service)
        yield
        self.recorder.close()

    def create_recorder(self) -> Recorder:
        return self.recorder


class TestAggregateRecorder(OnOurTables, shipped.AggregateRecorderTestCase):
    recorder_class = AggregatesOnly


class TestApplicationRecorder(OnOurTables, shipped.ApplicationRecorderTestCase[Recorder]):
    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestTrackingRecorder(OnOurTables, shipped.TrackingRecorderTestCase):
    pass


class TestProcessRecorder(OnOurTables, shipped.ProcessRecorderTestCase):
    pass


class TestNonInterleavingNotificationIds(
    OnOurTables, shipped.NonInterleavingNotificationIDsBaseCase
):
    pass
