"""Ordering as a process that takes orders until it is killed: three ways for a message to leave.

All is the real thing: the service's decision, the desk, the instance, `append`, PostgreSQL, NATS.
Two of the ways write twice, as one does who has no outbox; what `append` would have kept beside
the order goes straight to the broker.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from multiprocessing.connection import Connection
from pathlib import Path

import nats
import uvloop
from nats.aio.client import Client

from services.ordering.app import service as ordering
from services.ordering.order import OrderLine
from services.ordering.requests import PlaceOrder
from stagepost.engine.batch import Appended, Batch, Commit, Outcome, Outgoing
from stagepost.engine.calls_memory import MemoryCalls
from stagepost.engine.database import Pool, open_pool, read_statements
from stagepost.engine.desk import Desk
from stagepost.engine.envelope import Envelope
from stagepost.engine.ids import SystemIds
from stagepost.engine.links import Links
from stagepost.engine.network import Network
from stagepost.engine.runtime import Instance
from stagepost.engine.store_postgres import PostgresStore
from stagepost.engine.tables_postgres import PostgresTables
from stagepost.engine.telemetry import Metrics, configure_logging
from stagepost.engine.transport_names import HTTP, NATS
from stagepost.engine.transports.nats import NatsTransport
from stagepost.engine.transports.nats_envelope import headers_of, subject_of

CLIENTS = 8
"""Orders that are under way at once."""
LIFE = 10.0
"""Seconds after which a process ends that nobody has killed: so none is left behind."""
ASKED, ANSWERED = b"?", b"!"
"""What clients note before an order's id: they asked for it, they were told it is accepted."""


class Way(StrEnum):
    """How a message leaves."""

    COMMIT_FIRST = "commit, then publish"
    PUBLISH_FIRST = "publish, then commit"
    OUTBOX = "outbox and relay"


@dataclass(frozen=True)
class Place:
    """Where a process finds its servers, and where it writes its log."""

    dsn: str
    nats_url: str
    log: Path


@dataclass(frozen=True)
class Life:
    """What a process is to do: have these orders placed, again or for the first time."""

    way: Way
    place: Place
    again: tuple[str, ...]
    number: int

    def orders(self) -> Iterator[str]:
        """Yield the ids of orders: first those that were asked for before, then ever new ones."""
        yield from self.again
        count = 0
        while True:
            count += 1
            yield f"{self.number:03}-{count:04}"


class DirectStore(PostgresStore):
    """A store without an outbox, and a connection to publish on."""

    def __init__(self, pool: Pool, client: Client) -> None:
        super().__init__(pool, ordering.name)
        self._stream = client.jetstream()

    async def _publish(self, commits: Iterable[Commit]) -> None:
        """Publish what these commits say, and wait until the broker has confirmed all of it."""
        sent = (message_of(commit, one) for commit in commits for one in commit.sends)
        await asyncio.gather(*map(self._publish_one, sent))

    async def _publish_one(self, message: Envelope) -> None:
        headers = headers_of(message) | {"Nats-Msg-Id": str(message.id)}
        await self._stream.publish(subject_of(message), message.body, headers=headers)


class CommitFirst(DirectStore):
    """Commits, then publishes."""

    async def append(self, batch: Batch) -> Appended:
        appended = await super().append(silent(batch))
        outcomes = zip(batch.commits, appended.outcomes, strict=True)
        await self._publish(commit for commit, outcome in outcomes if outcome is Outcome.KEPT)
        return appended


class PublishFirst(DirectStore):
    """Publishes, then commits."""

    async def append(self, batch: Batch) -> Appended:
        await self._publish(batch.commits)
        return await super().append(silent(batch))


def message_of(commit: Commit, sent: Outgoing) -> Envelope:
    """Return a message as it leaves: it has no position, for it stands in no outbox."""
    return Envelope(
        id=sent.id,
        type=sent.type,
        version=sent.version,
        kind=sent.kind,
        source=ordering.name,
        key=sent.key,
        correlation=commit.cause.correlation,
        causation=commit.cause.id,
        body=sent.body,
    )


def silent(batch: Batch) -> Batch:
    """Return a batch without the messages that its commits send."""
    return replace(batch, commits=[replace(commit, sends=()) for commit in batch.commits])


@asynccontextmanager
async def opened(way: Way, place: Place) -> AsyncIterator[Instance]:
    """Connect to the servers, and wire an instance of ordering, alone with its messages."""
    async with AsyncExitStack() as exits:
        pool = await open_pool(place.dsn)
        exits.push_async_callback(pool.close)
        store, network = await _ways_out(way, place, pool, exits)
        yield Instance(
            ordering,
            {ordering.name: ordering},
            holder=ordering.name,
            store=store,
            tables=PostgresTables(pool, read_statements(ordering.sql / "queries.sql")),
            network=network,
            calls=MemoryCalls({}, timeout=1),
            ids=SystemIds(),
            metrics=Metrics(ordering.name),
            delays={},
            lease_seconds=LIFE,
        )


async def _ways_out(
    way: Way, place: Place, pool: Pool, exits: AsyncExitStack
) -> tuple[PostgresStore, Network]:
    if way is Way.OUTBOX:
        transport = NatsTransport(place.nats_url, ordering.name)
        exits.push_async_callback(transport.close)
        return PostgresStore(pool, ordering.name), Network({NATS: transport}, transport)
    client = await nats.connect(place.nats_url)
    exits.push_async_callback(client.close)
    direct = CommitFirst if way is Way.COMMIT_FIRST else PublishFirst
    # Whose links are all over HTTP has no relay.
    return direct(pool, client), Network({}, links=Links(default=HTTP))


def live(life: Life, notes: Connection) -> None:
    """Take orders until killed: what a forked process runs."""
    with life.place.log.open("ab") as log:
        os.dup2(log.fileno(), 2)
    configure_logging("WARNING", service=ordering.name)
    uvloop.run(_live(life, notes))


async def _live(life: Life, notes: Connection) -> None:
    async with asyncio.timeout(LIFE), opened(life.way, life.place) as instance:
        orders = life.orders()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(instance.run())
            for _ in range(CLIENTS):
                tasks.create_task(_ask(instance.desk, orders, notes))


async def _ask(desk: Desk, orders: Iterator[str], notes: Connection) -> None:
    """Place one order after the other. What is noted outlives this process, as an answer does."""
    for order_id in orders:
        notes.send_bytes(ASKED + order_id.encode())
        await desk.request(order(order_id))
        notes.send_bytes(ANSWERED + order_id.encode())


def order(order_id: str) -> PlaceOrder:
    return PlaceOrder(
        order_id=order_id,
        customer_id="ada",
        lines=(OrderLine(sku="chair", quantity=2, unit_price=Decimal("1250.5")),),
        currency="EUR",
        payment_token="tok_ok",
        ship_to="1 Station Road, Reims",
    )
