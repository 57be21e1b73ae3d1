"""Forgetting what is old and done with: what goes, and what no promise can do without."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from json import dumps
from typing import Any

import asyncpg
import pytest

from stagepost.engine.batch import Commit, Cursor, CursorId, Handled
from stagepost.engine.envelope import Place
from stagepost.engine.prune import Forgotten, prune
from stagepost.engine.relay import Relay
from stagepost.engine.telemetry import Metrics
from stagepost.engine.transports.memory import MemoryBroker, MemoryTransport
from stagepost.errors import BadSettings, SchemaTooOld, StoreUnavailable
from tests.conftest import Database
from tests.engine.counter import World as CounterWorld
from tests.engine.counter import until_awaited
from tests.engine.forgetting import DAY, PAYMENTS, forget, known, relayed, sent, something_new
from tests.engine.stores import (
    SERVICE,
    PostgresWorld,
    append,
    called,
    heard,
    named,
    reminder,
    told,
)

RELAY = CursorId("relay", SERVICE)


@pytest.fixture
def world(postgres_world: PostgresWorld) -> PostgresWorld:
    return postgres_world


async def test_what_is_old_and_done_with_goes_and_the_feed_begins_behind_it(
    world: PostgresWorld, store_database: Database
) -> None:
    sends = [told(), told(), told(type="payments.PaymentDeclined"), told()]
    await append(world.store, *[Commit(heard(), sends=[message]) for message in sends])
    *_, declined, last = await world.store.outbox(0, 10)
    await append(world.store, Commit(heard(), sends=[told(type="payments.PaymentDeclined")]))
    await something_new(world)
    young, new = (await world.store.outbox(0, 10))[-2:]

    forgotten = await forget(store_database)

    assert forgotten == Forgotten(sent=4, heard=4, begins=last.position)
    assert [m.id for m in await world.store.outbox(0, 10)] == [young.id, new.id]
    page = await world.store.feed(last.position, 10)
    assert (page.begin, page.end) == (last.position, Place(1, new.position))
    assert [m.id for m in page.messages] == [young.id, new.id]
    assert await world.store.pruned() == {
        "payments.PaymentReceived": Place(1, last.position),
        "payments.PaymentDeclined": Place(1, declined.position),
    }


async def test_what_is_kept_for_a_relay_before_the_feed_begins_is_missed_by_nobody_in_silence(
    world: PostgresWorld, store_database: Database
) -> None:
    """Who has read all that went, but not this, must not take the feed's beginning for its own."""
    declined = [told(type="payments.PaymentDeclined") for _ in range(2)]
    await append(world.store, *[Commit(heard(), sends=[m]) for m in (*declined, told(), told())])
    _, rare, _, last = await world.store.outbox(0, 10)
    await something_new(world)

    assert (await forget(store_database)).begins == last.position

    assert rare.id in await sent(world)
    assert (await world.store.feed(last.position, 10)).begin > rare.position
    assert await world.store.pruned() == {
        "payments.PaymentDeclined": Place(1, rare.position),
        "payments.PaymentReceived": Place(1, last.position),
    }


async def test_nothing_younger_than_a_day_is_forgotten(
    world: PostgresWorld, store_database: Database
) -> None:
    await append(world.store, Commit(heard(), sends=[told(), told()]))
    await relayed(world)
    with pytest.raises(BadSettings, match="nothing younger than 24 hours"):
        await forget(store_database, days=0.99)
    assert len(await sent(world)) == 2

    assert await forget(store_database, days=1.01) == Forgotten(0, 0, 0)
    assert len(await sent(world)) == 2


async def test_forgetting_again_changes_nothing_and_later_goes_on(
    world: PostgresWorld, store_database: Database
) -> None:
    await append(world.store, Commit(heard(), sends=[told(), told()]))
    await something_new(world)
    first = await forget(store_database)
    assert (await forget(store_database)) == Forgotten(0, 0, first.begins)
    await append(world.store, Commit(heard(), sends=[told()]))
    await relayed(world)
    await world.later(2 * DAY)
    assert (await forget(store_database)).begins > first.begins


async def test_what_is_not_published_is_kept(
    world: PostgresWorld, store_database: Database
) -> None:
    await append(world.store, Commit(heard(name="old"), sends=[told(), told(), told(), told()]))
    await something_new(world)
    one, two, *rest = await world.store.outbox(0, 10)
    await relayed(world, two.position)

    assert (await forget(store_database)).begins == one.position
    assert await world.store.outbox(0, 10) == [two, *rest]
    assert named("old") in await known(world)


@pytest.mark.parametrize(
    ("links", "gone"),
    [
        ({"default": "nats"}, 0),
        ({"default": "http"}, 2),
        ({"default": "kafka"}, 2),
        ({"default": "kafka", "payments->fulfillment": "nats"}, 0),
    ],
    ids=str,
)
async def test_what_the_brokers_of_its_links_do_not_have_is_kept(
    world: PostgresWorld, store_database: Database, links: dict[str, str], gone: int
) -> None:
    """The relay to NATS never came beyond the first message, that to Kafka has published all."""
    await append(world.store, Commit(heard(), sends=[told(), told()]))
    await something_new(world)
    await relayed(world, 1)
    await relayed(world, relay="relay kafka")
    await world.owner.execute("INSERT INTO flow VALUES (true, 'orchestrated', $1)", dumps(links))
    assert (await forget(store_database)).sent == gone


async def test_while_a_relay_has_published_nothing_all_is_kept(
    world: PostgresWorld, store_database: Database
) -> None:
    await append(world.store, Commit(heard(), sends=[told(), told()]))
    await something_new(world)
    await world.owner.execute("DELETE FROM cursors")
    assert (await forget(store_database)).sent == 0


async def test_the_relay_knows_the_end_of_its_stream_whatever_it_published_there(
    world: PostgresWorld, store_database: Database
) -> None:
    """The last that went over this broker was a command; of all else others have read since."""
    command = told(kind="command", type="shipping.ShipGoods", recipient="shipping")
    await append(world.store, Commit(heard(), sends=[told(), command, told(), told()]))
    over_this_broker = (await world.store.outbox(0, 10))[1]
    broker = MemoryBroker()
    publisher = await MemoryTransport(broker).publisher(SERVICE)
    await publisher.tail()
    await publisher.publish([over_this_broker])
    await something_new(world)

    assert (await forget(store_database)).sent == 3

    lease = await world.store.take_lease("service", "payments-1", 10)
    assert lease is not None
    relay = Relay(world.store, publisher, RELAY, {command.type}, lease, Metrics(SERVICE))
    await relay._reconcile()
    assert await world.store.incarnation() == 1


async def test_calls_that_wait_are_kept_with_their_cause(
    world: PostgresWorld, store_database: Database
) -> None:
    waits, done = called("waits"), called("done")
    await append(
        world.store,
        Commit(heard("waits", "asked"), sends=[waits]),
        Commit(heard("done", "answered"), sends=[done]),
    )
    due, _ = await world.store.due_calls(10, [])
    (call,) = [call for call in due if call.lane == "done"]
    answer = heard("done", "answer", kind="answer", source=SERVICE)
    await append(world.store, Commit(answer, call=call.position))
    await something_new(world)

    assert (await forget(store_database)).begins == 0  # a call is no part of the feed

    assert waits.id in await sent(world)
    assert done.id not in await sent(world)
    assert await known(world) == {named("asked"), named("new")}
    assert len((await world.store.due_calls(10, []))[0]) == 1


@pytest.mark.parametrize(("cursor", "kept"), [(None, False), (6, True), (7, False), (8, False)])
async def test_what_could_be_delivered_again_is_kept_till_its_cursor_has_passed_it(
    world: PostgresWorld, store_database: Database, cursor: int | None, *, kept: bool
) -> None:
    consumer = CursorId("consumer", "ordering", 1)
    cursors = [Cursor(consumer, 0, cursor)] if cursor else []
    await append(world.store, Commit(heard(name="it", incarnation=1, position=7)), cursors=cursors)
    elsewhere = [CursorId("consumer", "ordering", 2), CursorId("view:x", "ordering", 1)]
    await append(world.store, cursors=[Cursor(name, 0, 1) for name in elsewhere])
    await something_new(world)

    await forget(store_database)

    assert (named("it") in await known(world)) is kept


async def test_what_was_a_dead_letter_is_kept(
    world: PostgresWorld, store_database: Database
) -> None:
    for name in ("parked", "done"):
        parks = Commit(heard(name, name), handled=Handled.PARKED, detail="why", parks=True)
        await append(world.store, parks)
    letters = {d.message.key: d.id for d in await world.store.dead_letters(0, 10)}
    await world.later(2 * DAY)
    await world.store.redrive([letters["done"]])
    again = Commit(heard("done", "done"), redrives=letters["done"], sends=[told()])
    await append(world.store, again)
    await something_new(world)

    await forget(store_database)

    assert await known(world) == {named("parked"), named("done"), named("new")}
    assert [d.message.key for d in await world.store.dead_letters(0, 10)] == ["parked"]


async def test_who_set_a_timer_that_waits_is_kept(
    world: PostgresWorld, store_database: Database
) -> None:
    await append(
        world.store,
        Commit(heard(name="set"), timers=[reminder(name="waits", delay=9 * DAY)]),
        Commit(heard("k", name="fired"), timers=[reminder("k", name="gone")]),
    )
    await append(world.store, Commit(heard("k", "gone", kind="timer", source=SERVICE)))
    await something_new(world)

    await forget(store_database)

    assert await known(world) == {named("set"), named("new")}


async def test_what_was_heard_last_is_kept_so_that_the_database_is_known_again(
    world: PostgresWorld, store_database: Database
) -> None:
    await append(world.store, Commit(heard(name="first")), Commit(heard(name="last")))
    await world.later(2 * DAY)

    await forget(store_database)

    assert await known(world) == {named("last")}


async def test_a_clock_that_was_set_back_cuts_no_hole(
    world: PostgresWorld, store_database: Database
) -> None:
    await append(world.store, *[Commit(heard(), sends=[told()]) for _ in range(3)])
    first, second, third = await world.store.outbox(0, 10)
    await something_new(world)
    await world.owner.execute(
        "UPDATE outbox SET recorded_at = clock_timestamp() WHERE position = $1", second.position
    )

    assert (await forget(store_database)).begins == first.position
    assert [m.id for m in await world.store.outbox(0, 2)] == [second.id, third.id]


async def test_what_was_forgotten_and_comes_again_is_not_handled_again(
    world: PostgresWorld, store_database: Database
) -> None:
    counter = CounterWorld()
    counter.store = world.store
    async with counter.running() as instance:
        await counter.until_handled(await counter.command("a", 1), await counter.command("b", 2))
        assert await counter.total(instance, "a") == 1
        answers = await world.store.outbox(0, 10)
        await until_awaited(lambda: has_noted(world, answers[-1].position))
    await world.later(2 * DAY)
    forgotten = await forget(store_database)
    assert (forgotten.sent, forgotten.heard) == (1, 1)

    await world.owner.execute("UPDATE cursors SET hint = 0")  # and so it is read from the beginning
    async with counter.running("counter-2") as instance:
        await counter.until_handled(await counter.command("c", 4))
        totals = [await counter.total(instance, name) for name in "abc"]

    assert totals == [1, 2, 4]
    assert await world.store.incarnation() == 1
    assert len(await world.store.journal(None, 0, 100)) == 2 + 2


async def has_noted(world: PostgresWorld, position: int) -> bool:
    await asyncio.sleep(0.05)
    cursors = await world.store.cursors("relay")
    return any(cursor.at == position for cursor in cursors.values())


async def test_a_service_can_forget_nothing_by_itself(store_database: Database) -> None:
    connection = await asyncpg.connect(store_database.service)
    for statement in (
        "SELECT prune('2000-01-01', '{}')",
        "DELETE FROM outbox",
        "DELETE FROM pruned",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    await connection.close()


async def test_a_database_that_cannot_forget_or_be_reached_is_said_to_be_so(
    databases: Any,
) -> None:
    before = datetime(2026, 1, 1, tzinfo=UTC)
    await databases.provide(["never_migrated"])
    with pytest.raises(SchemaTooOld, match="stagepost migrate"):
        await prune(databases.owner_dsn("never_migrated"), PAYMENTS, before)
    with pytest.raises(StoreUnavailable):
        await prune("postgresql://127.0.0.1:1/none", PAYMENTS, before)
