"""A database that is set back under a running instance, as by a failover to a late replica."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from eventsourcing.persistence import StoredEvent

from stagepost.engine.batch import Batch, Lease, Outcome
from stagepost.engine.database import Connection
from stagepost.engine.stack.postgres import Postgres
from stagepost.engine.store_postgres import PostgresStore
from stagepost.errors import Fenced, OutcomeUnknown, StoreUnavailable
from tests.conftest import Database, NewDatabase
from tests.engine.counter import CountNow, Total, World, until, until_awaited
from tests.engine.stores import named, outcomes, writes


class Replica:
    """A copy of a database as it was, which can take its place."""

    def __init__(self, superuser: Connection, database: Database) -> None:
        self._superuser = superuser
        self._name = database.name

    async def copy(self) -> None:
        await self._shut()
        await self._do(f'CREATE DATABASE "late" TEMPLATE "{self._name}" OWNER "{self._name}_owner"')
        await self._do(f'ALTER DATABASE "{self._name}" ALLOW_CONNECTIONS true')

    async def take_over(self) -> None:
        await self._shut()
        await self._do(f'ALTER DATABASE "{self._name}" RENAME TO "lost"')
        await self._do(f'ALTER DATABASE "late" RENAME TO "{self._name}"')
        await self._do('DROP DATABASE "lost"')

    async def _shut(self) -> None:
        await self._do(f'ALTER DATABASE "{self._name}" ALLOW_CONNECTIONS false')
        await self._do(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            f" WHERE datname = '{self._name}'"
        )

    async def _do(self, statement: str) -> None:
        await self._superuser.execute(statement)


@pytest.fixture
async def lately(new_database: NewDatabase) -> Database:
    return await new_database("payments")


@pytest.fixture
async def store(lately: Database) -> AsyncIterator[PostgresStore]:
    store = await PostgresStore.connect(lately.owner, "counter")
    yield store
    await store.close()


@pytest.fixture
async def replica(postgres: Postgres, lately: Database) -> AsyncIterator[Replica]:
    connection = await asyncpg.connect(postgres.dsn("postgres"))
    yield Replica(connection, lately)
    await connection.close()


async def write(store: PostgresStore, name: str) -> list[Outcome]:
    async with asyncio.timeout(10):
        while True:
            try:
                return await outcomes(store, writes(name, 1))
            except (StoreUnavailable, OutcomeUnknown):
                await asyncio.sleep(0.05)


async def test_a_store_that_lost_what_it_confirmed_says_so_before_it_writes(
    store: PostgresStore, replica: Replica
) -> None:
    await write(store, "before")
    await replica.copy()
    await write(store, "lost")
    await replica.take_over()

    with pytest.raises(Fenced, match="set back"):
        await write(store, "after")
    assert await write(store, "after") == [Outcome.KEPT]


async def test_a_server_whose_pids_come_again_is_looked_at_all_the_same(
    store: PostgresStore, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they do where a container is started anew."""
    monkeypatch.setattr(asyncpg.Connection, "get_server_pid", lambda _: 70)
    await write(store, "before")
    await replica.copy()
    await write(store, "lost")
    await replica.take_over()

    with pytest.raises(Fenced, match="set back"):
        await write(store, "after")


async def test_a_store_that_lost_nothing_goes_on(store: PostgresStore, replica: Replica) -> None:
    await write(store, "before")
    await replica.copy()
    await replica.take_over()
    assert await write(store, "after") == [Outcome.KEPT]


async def test_a_lease_of_the_former_life_is_no_lease_until_it_is_taken_again(
    store: PostgresStore, replica: Replica
) -> None:
    lease = await store.take_lease("service", "one", 60)
    assert lease is not None
    await write(store, "before")
    await replica.copy()
    await write(store, "lost")
    await replica.take_over()
    with pytest.raises(Fenced):
        await write(store, "after")

    with pytest.raises(Fenced):
        await store.renew_lease(lease, 60)
    with pytest.raises(Fenced):
        await store.append(Batch(lease=lease))
    newer = await store.take_lease("service", "one", 60)
    assert newer is not None
    assert await store.renew_lease(newer, 60)
    await store.append(Batch(lease=newer))


async def test_who_led_in_the_former_life_begins_no_new_incarnation(
    store: PostgresStore, replica: Replica
) -> None:
    lease = await store.take_lease("service", "one", 60)
    assert lease is not None
    await replica.copy()
    await write(store, "lost")
    await replica.take_over()

    with pytest.raises(Fenced):
        await raise_incarnation(store, lease)
    with pytest.raises(Fenced):  # as long as nobody has begun anew
        await raise_incarnation(store, lease)

    assert await store.incarnation() == 1


async def raise_incarnation(store: PostgresStore, lease: Lease) -> int:
    async with asyncio.timeout(10):
        while True:
            try:
                return await store.raise_incarnation(1, 1, 0, lease)
            except StoreUnavailable:
                await asyncio.sleep(0.05)


async def test_an_instance_handles_again_what_its_database_forgot_in_a_new_incarnation(
    store: PostgresStore, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stagepost.engine.runtime.AGAIN", 0.01)
    world = World()
    world.store, world.lease_seconds = store, 3.0
    async with world.running() as counter:
        await counter.desk.request(CountNow(name="asked", by=1))
        await world.until_handled(await world.command("a", 1))
        await replica.copy()
        await counter.desk.request(CountNow(name="asked", by=5))
        forgotten = [await world.command("a", 10), await world.command("b", 20)]
        await world.until_handled(*forgotten)
        await until(lambda: len(world.broker.streams["counter"]) == 3)
        await replica.take_over()

        assert await counter.desk.request(CountNow(name="asked", by=1)) == Total(total=2)
        last = await world.command("b", 300)
        await world.until_handled(*forgotten, last)
        assert (await world.total(counter, "a"), await world.total(counter, "b")) == (11, 320)
        await until_awaited(lambda: is_in_life(store, 2))
        await until(lambda: world.broker.streams["counter"][-1].incarnation == 2)


async def is_in_life(store: PostgresStore, incarnation: int) -> bool:
    return await store.incarnation() == incarnation


async def test_what_a_stream_was_before_it_was_set_back_is_no_snapshot_of_it(
    store: PostgresStore, replica: Replica
) -> None:
    """The stream may grow to that version again, with other events."""
    await outcomes(store, writes("a", 1))
    await replica.copy()
    assert await write(store, "b") == [Outcome.KEPT]
    await replica.take_over()
    before = StoredEvent(named("a"), 1, "payments.Payment", b"{}")

    with pytest.raises(Fenced):
        await keep(store, before)
    with pytest.raises(Fenced):  # as long as nobody has begun anew
        await keep(store, before)

    assert (await store.load([named("a")]))[named("a")].snapshot is None


async def keep(store: PostgresStore, snapshot: StoredEvent) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                return await store.keep_snapshots([snapshot])
            except StoreUnavailable:
                await asyncio.sleep(0.05)
