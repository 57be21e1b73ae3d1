"""What the single parts are measured on: a service's database, and commits like a service's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

from eventsourcing.persistence import StoredEvent

from stagepost import Decision, Event, Load
from stagepost.engine.batch import Batch, Commit, Outgoing
from stagepost.engine.envelope import Envelope
from stagepost.engine.service import Service
from stagepost.engine.stack.databases import Databases
from stagepost.engine.stack.folder import Passwords
from stagepost.engine.store_postgres import PostgresStore
from tests.bench.servers import Servers

BODY = (
    b'{"order_id":"bench-00001","amount":18498,"currency":"EUR","lines":[{"sku":"red-chair",'
    b'"quantity":2,"unit_price":"1299"},{"sku":"wool-rug","quantity":1,"unit_price":"15900"}]}'
)
"""As long as what services say about an order."""
BATCH = 200


class Done(Event):
    """What is said in the bench of the single parts: about an order of two lines."""

    KEY, OWNER = "order_id", "bench"
    order_id: str
    amount: int
    currency: str
    lines: list[dict[str, str | int]]


def note(event: Done, load: Load) -> Decision:
    """Do nothing about it, and send nothing: what is left is the reading."""
    return Decision()


SOURCE = Service(name="bench", about="Says.", port=0, sql=Path("none"), sends=(Done,))
READER = Service(name="reader", about="Hears.", port=0, sql=Path("none"), handlers={Done: note})


@asynccontextmanager
async def open_store(servers: Servers, data: Path, service: str) -> AsyncIterator[PostgresStore]:
    """Make the database of a service anew, and connect to it as the service."""
    databases = Databases(servers.postgres.server, Passwords(data / "servers" / "secrets.json"))
    await servers.drop(service)
    await databases.provide([service])
    await databases.migrate({service: Path("none")})
    store = await PostgresStore.connect(databases.dsn(service), service)
    try:
        yield store
    finally:
        await store.close()
        await servers.drop(service)


def batches(commits: int) -> Iterator[Batch]:
    """Return so many commits, each of one event and one message."""
    for _ in range(commits // BATCH):
        yield Batch([_commit(uuid4()) for _ in range(BATCH)])


def _commit(cause: UUID) -> Commit:
    return Commit(
        Envelope(cause, Done.TYPE, 1, "request", "bench", str(cause), cause, None, b""),
        events=[StoredEvent(uuid4(), 1, "bench.Thing.Done", BODY)],
        sends=[Outgoing(uuid4(), Done.TYPE, 1, "event", str(cause), BODY)],
    )
