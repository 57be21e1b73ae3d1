"""The `eventsourcing` library reads a store of ours, and writes to it, while services do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from functools import partial
from uuid import UUID, uuid4

import asyncpg
import pytest
from eventsourcing.persistence import IntegrityError, StoredEvent
from eventsourcing.utils import get_topic

from services.payments.payment import Payment, Status
from stagepost.aggregate import to_stored
from stagepost.engine.batch import Commit
from stagepost.engine.decisions import rebuild
from stagepost.engine.store import Store
from stagepost.engine.store_postgres import PostgresStore
from stagepost.errors import UnreadableEvent
from tests.conftest import Database, NewDatabase
from tests.corpus.stored import read, released
from tests.engine.stores import CONFLICT, KEPT, append, heard, outcomes
from tests.replay.library import AS_WRITER, JoinedRecorder, Shop, environment

WRITES = 60
"""Batches that each writer writes while the others do."""
RECORDERS = {
    "as it is": {},
    "joining our lock": {"APPLICATION_RECORDER_TOPIC": get_topic(JoinedRecorder)},
}


@dataclass
class Place:
    """A store of payments with what two releases have written, and who else may write to it."""

    database: Database
    store: PostgresStore
    streams: list[UUID]

    def shop(self, **more: str) -> Shop:
        return Shop(environment(self.database.service, **more))


@pytest.fixture
async def place(new_database: NewDatabase) -> AsyncIterator[Place]:
    database = await new_database("payments")
    store = await PostgresStore.connect(database.service, "payments")
    streams = []
    for file in released("payments"):
        for line in read(file.read_text()):
            name = uuid4()
            events = [replace(event, originator_id=name) for event in line.stored]
            await append(store, Commit(heard(str(name)), events=events))
            streams.append(name)
    owner = await asyncpg.connect(database.owner)
    await owner.execute(AS_WRITER.format(role=database.name))
    await owner.close()
    yield Place(database, store, streams)
    await store.close()


@pytest.fixture(params=RECORDERS.values(), ids=RECORDERS)
def shop(request: pytest.FixtureRequest, place: Place) -> Iterator[Shop]:
    """An application of the library on our store, as the role of the service."""
    shop = place.shop(**request.param)
    yield shop
    shop.close()


async def test_its_repository_makes_of_our_events_the_aggregates_that_we_make(
    place: Place, shop: Shop
) -> None:
    ours = await rebuild(place.store, place.streams)
    assert len({payment.status for payment in ours.values() if isinstance(payment, Payment)}) > 2
    for name in place.streams:
        assert shop.repository.get(name) == ours[name]


async def test_its_notification_log_is_our_log(place: Place, shop: Shop) -> None:
    ours = await place.store.events(0, 1000)
    theirs = shop.recorder.select_notifications(start=1, limit=1000)
    assert [(n.id, n.originator_id, n.originator_version, n.topic, n.state) for n in theirs] == [
        (n.position, *vars(n.event).values()) for n in ours
    ]


async def test_what_it_cannot_read_stops_it_as_it_stops_us(place: Place, shop: Shop) -> None:
    newer = StoredEvent(place.streams[0], 5, Payment.Refunded.TOPIC, b'{"class_version":9}')
    await append(place.store, Commit(heard(), events=[newer]))
    with pytest.raises(UnreadableEvent, match=r"version 5 of the stream .* it has version 9"):
        shop.repository.get(place.streams[0])


async def test_what_it_saves_we_go_on_from_and_the_other_way_round(
    place: Place, shop: Shop
) -> None:
    theirs = Payment.bar(caller="library", reference="1", order_id="1")
    shop.save(theirs)
    ours = (await rebuild(place.store, [theirs.id]))[theirs.id]
    assert isinstance(ours, Payment)
    assert (ours.status, ours.version) == (Status.BARRED, 1)
    ours.request_refund(reason="asked for by us")
    events = [to_stored(event) for event in ours.collect_events()]  # type: ignore[arg-type]
    assert await outcomes(place.store, Commit(heard(), events=events)) == [KEPT]
    again = shop.repository.get(theirs.id)
    assert isinstance(again, Payment)
    again.refund(amount=0)
    shop.save(again)
    assert (await rebuild(place.store, [theirs.id]))[theirs.id] == again


async def test_of_two_who_write_the_same_version_the_second_is_told(
    place: Place, shop: Shop
) -> None:
    first, second = shop.repository.get(place.streams[3]), shop.repository.get(place.streams[3])
    assert isinstance(first, Payment)
    assert isinstance(second, Payment)
    first.request_refund(reason="first")
    second.request_refund(reason="second")
    late = [to_stored(event) for event in second.pending_events]  # type: ignore[arg-type]
    shop.save(first)
    assert await outcomes(place.store, Commit(heard(), events=late)) == [CONFLICT]
    with pytest.raises(IntegrityError):
        shop.save(second)


def barred(by: str, number: int) -> list[StoredEvent]:
    """Events of two payments, so that a batch could come apart."""
    payments = [
        Payment.bar(caller=by, reference=f"{number}-{n}", order_id=f"{number}") for n in (1, 2)
    ]
    return [to_stored(e) for payment in payments for e in payment.collect_events()]  # type: ignore[arg-type]


async def tail(store: Store, done: asyncio.Event) -> list[int]:
    """Follow the log as our readers do: each page behind the last position that was seen."""
    seen: list[int] = []
    while True:
        is_last = done.is_set()
        page = await store.events(seen[-1] if seen else 0, 7)
        seen += [found.position for found in page]
        if is_last and not page:
            return seen
        await asyncio.sleep(0)


async def test_nothing_is_missed_by_who_follows_the_log_while_both_write(
    place: Place, shop: Shop
) -> None:
    async def we(writer: int) -> None:
        for number in range(WRITES):
            await append(place.store, Commit(heard(), events=barred(f"we-{writer}", number)))

    async def they(writer: int) -> None:
        for number in range(WRITES):
            events = barred(f"they-{writer}", number)
            await asyncio.to_thread(partial(shop.recorder.insert_events, events))

    done = asyncio.Event()
    reading = asyncio.create_task(tail(place.store, done))
    await asyncio.gather(we(1), they(1), we(2), they(2))
    done.set()
    stored = [found.position for found in await place.store.events(0, 100_000)]
    assert await reading == stored
    assert len(stored) >= 4 * WRITES * 2
