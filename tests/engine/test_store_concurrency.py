"""Many writers at once on PostgreSQL: a reader misses nothing, and a zombie writes nothing."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import asyncpg
import pytest
from asyncpg.pool import PoolConnectionProxy

from stagepost.engine.append_arrays import arrays_of
from stagepost.engine.batch import Batch, Commit, Outcome
from stagepost.engine.database import Connection, Pool, open_pool
from stagepost.engine.envelope import Envelope
from stagepost.engine.store_postgres import _STATEMENTS, PostgresStore
from stagepost.errors import Fenced
from tests.conftest import Database
from tests.engine.stores import (
    KEPT,
    SERVICE,
    PostgresWorld,
    append,
    happened,
    heard,
    named,
    outcomes,
    told,
    versions,
    writes,
)

WRITERS = 32
ROUNDS = 12
KEYS = [f"key {n}" for n in range(8)]


@pytest.fixture
async def pool(store_database: Database) -> AsyncIterator[Pool]:
    pool = await open_pool(store_database.service, size=WRITERS)
    yield pool
    await pool.close()


class Writer:
    """Writes to keys that others write to as well; remembers what was kept."""

    def __init__(self, number: int, pool: Pool) -> None:
        self._random = Random(number)
        self._pool = pool
        self._store = PostgresStore(pool, SERVICE)
        self.kept: list[tuple[str, int]] = []
        self.failed = 0

    async def run(self) -> None:
        for _ in range(ROUNDS):
            write = self._random.choice([self.at_once, self.slowly, self.and_roll_back])
            await write(*await self.next_writes())

    async def next_writes(self) -> list[Commit]:
        keys = self._random.sample(KEYS, 2)
        stored = await versions(self._store, *keys)
        return [next_write(key, len(found) + 1) for key, found in zip(keys, stored, strict=True)]

    async def at_once(self, *commits: Commit) -> None:
        self.remember(commits, await outcomes(self._store, *commits))

    async def slowly(self, *commits: Commit) -> None:
        """Let a round trip pass between the write and its commit."""
        async with self._pool.acquire() as connection, connection.transaction():
            found = await raw_append(connection, *commits)
            await connection.execute("SELECT pg_sleep(0.002)")
        self.remember(commits, found)

    async def and_roll_back(self, *commits: Commit) -> None:
        async with self._pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            await raw_append(connection, *commits)
            await transaction.rollback()

    def remember(self, commits: tuple[Commit, ...], found: list[Outcome]) -> None:
        for commit, outcome in zip(commits, found, strict=True):
            if outcome is KEPT:
                self.kept.append((commit.cause.key, commit.events[0].originator_version))
            else:
                self.failed += 1


def next_write(key: str, version: int) -> Commit:
    return Commit(heard(key), events=[happened(key, version)], sends=[told(key, version=version)])


async def raw_append(
    connection: PoolConnectionProxy[asyncpg.Record], *commits: Commit
) -> list[Outcome]:
    row = await connection.fetchrow(_STATEMENTS["append"], *arrays_of(Batch(commits)))
    assert row is not None
    return [list(Outcome)[n] for n in row["outcomes"]]


class Tail:
    """Reads the outbox and the events behind its last position, while others write."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store
        self._after = {"outbox": 0, "events": 0}
        self.told: list[Envelope] = []
        self.happened: list[tuple[object, int]] = []

    async def read(self) -> None:
        for message in await self._store.outbox(self._after["outbox"], 7):
            self._after["outbox"] = message.position
            self.told.append(message)
        for found in await self._store.events(self._after["events"], 7):
            self._after["events"] = found.position
            self.happened.append((found.event.originator_id, found.event.originator_version))

    async def run(self, until: asyncio.Future[Any]) -> None:
        while not until.done():
            await self.read()
        seen = -1
        while seen < len(self.told) + len(self.happened):
            seen = len(self.told) + len(self.happened)
            await self.read()


async def test_a_reader_behind_32_writers_misses_nothing_and_sees_each_key_in_order(
    postgres_world: PostgresWorld, pool: Pool
) -> None:
    writers = [Writer(number, pool) for number in range(WRITERS)]
    tail = Tail(postgres_world.store)
    writing = asyncio.gather(*(writer.run() for writer in writers))
    await asyncio.gather(writing, tail.run(writing))

    kept = [write for writer in writers for write in writer.kept]
    assert sum(writer.failed for writer in writers) > 0, "no conflict: nothing was put to the test"
    assert {(m.key, m.version) for m in tail.told} == set(kept)
    assert set(tail.happened) == {(named(key), version) for key, version in kept}
    by_key: defaultdict[tuple[str, object], list[int]] = defaultdict(list)
    for message in tail.told:
        by_key["told", message.key].append(message.version)
    for stream, version in tail.happened:
        by_key["happened", stream].append(version)
    assert all(seen == list(range(1, len(seen) + 1)) for seen in by_key.values())


async def somebody_waits(owner: Connection) -> bool:
    """Tell whether somebody waits for the lock of `append`."""
    return bool(
        await owner.fetchval(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        )
    )


async def test_who_takes_the_lease_finds_all_that_the_holder_before_wrote(
    postgres_world: PostgresWorld, pool: Pool, store_database: Database
) -> None:
    store = postgres_world.store
    zombie = await store.take_lease("worker", "one", 10)
    await postgres_world.later(11)
    taker = await asyncpg.connect(store_database.service)
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        under_way = Batch([writes("a", 1)], lease=zombie)
        await connection.fetchrow(_STATEMENTS["append"], *arrays_of(under_way))
        taking = asyncio.create_task(taker.fetchval(_STATEMENTS["take_lease"], "worker", "two", 10))
        while not await somebody_waits(postgres_world.owner):
            assert not taking.done(), "the lease passed on while its holder was writing"
        await transaction.commit()
    assert await taking == 2
    await taker.close()
    assert await versions(store, "a") == [[1]]
    with pytest.raises(Fenced):
        await append(store, writes("a", 2), lease=zombie)
    assert await versions(store, "a") == [[1]]


async def test_what_is_being_appended_belongs_to_the_incarnation_that_is_raised_meanwhile(
    postgres_world: PostgresWorld, pool: Pool
) -> None:
    store = postgres_world.store
    lease = await store.take_lease("service", "one", 60)
    assert lease is not None
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await raw_append(connection, next_write("a", 1))
        raising = asyncio.create_task(store.raise_incarnation(1, 1000, 0, lease))
        while not await somebody_waits(postgres_world.owner):
            assert not raising.done(), "it was raised before all was there"
        await transaction.commit()
    assert await raising == 2
    assert [sent.incarnation for sent in await store.outbox(0, 10)] == [2]
