"""A service whose feed is served on a real socket, and can be gone for a while; its readers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import httpx
from prometheus_client import CollectorRegistry

from stagepost.engine.batch import Batch, Commit, Cursor, CursorId, Outgoing
from stagepost.engine.desk import Desk
from stagepost.engine.envelope import Envelope
from stagepost.engine.flow import Flow
from stagepost.engine.ids import SeededIds
from stagepost.engine.items import Signals
from stagepost.engine.store import Store
from stagepost.engine.store_memory import MemoryStore
from stagepost.engine.transports import StreamId
from stagepost.engine.transports.feed import FeedSubscription, FeedTransport
from stagepost.engine.web import Authenticate, Server, http_server, make_app
from stagepost.engine.web.peers import NOBODY, Peers
from tests.callers import an_operator
from tests.engine.shop import SHOP
from tests.engine.stores import heard
from tests.engine.transports import READER, SOURCE, TYPES, take


class Source:
    """What tells events: a store, and an instance that serves what stands in it."""

    def __init__(
        self, store: Store, authenticate: Authenticate = an_operator, peers: Peers = NOBODY
    ) -> None:
        self.store = store
        self._authenticate = authenticate
        self.peers = peers
        self.signals = Signals()
        self.server: Server | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Serve; after a stop on the port of before."""
        app = make_app(
            SHOP,
            desk=cast("Desk", SimpleNamespace(signals=self.signals)),
            queries=None,  # type: ignore[arg-type]  # nobody asks
            store=self.store,
            ids=SeededIds(1),
            answers=None,  # type: ignore[arg-type]  # no command is brought
            probes=[],
            registry=CollectorRegistry(),
            flow=Flow(),
            authenticate=self._authenticate,
            peers=self.peers,
        )
        listening = socket.create_server(("127.0.0.1", self._port))
        self._port = listening.getsockname()[1]
        self.server = http_server(app, host="127.0.0.1", port=0)
        self._serving = asyncio.create_task(self.server.serve([listening]))
        async with asyncio.timeout(5):
            while not self.server.started:
                await asyncio.sleep(0.001)

    async def stop(self) -> None:
        """End as a service does at SIGTERM."""
        if self.server is not None:
            await self.server.drain()
            self.server.end()
            await self._serving
            self.server = None

    async def tell(self, *messages: Outgoing, signal: bool = True) -> list[Envelope]:
        """Write messages, each in a commit of its own; another instance gives no signal here."""
        end = (await self.store.feed(0, 0)).end.position
        batch = Batch([Commit(heard(), sends=[message]) for message in messages])
        await self.store.append(batch)
        if signal:
            self.signals.tell(batch)
        return list((await self.store.feed(end, 1000)).messages)


class Teller:
    """Writes messages into a source's outbox as they are, with the positions that they have."""

    def __init__(self, source: Source, store: MemoryStore) -> None:
        self._source = source
        self._store = store
        self.lost = asyncio.Event()

    async def publisher(self, _: str) -> Teller:
        return self

    async def tail(self) -> StreamId | None:
        sent = self._store._outbox
        return StreamId(sent[-1].incarnation, sent[-1].position, sent[-1].id) if sent else None

    async def publish(self, messages: Sequence[Envelope]) -> None:
        self._store._outbox += messages
        self._source.signals.feed.set()

    async def close(self) -> None:
        """Nothing is held."""


@asynccontextmanager
async def serving(
    store: Store, authenticate: Authenticate = an_operator, peers: Peers = NOBODY
) -> AsyncIterator[Source]:
    source = Source(store, authenticate, peers)
    await source.start()
    yield source
    await source.stop()


@asynccontextmanager
async def client_of(source: Source, **known: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=source.url, timeout=40, verify=False, **known) as client:
        yield client


class Reader:
    """A transport, one subscription on it, and what it has logged."""

    def __init__(self, transport: FeedTransport, logs: list[Any]) -> None:
        self.transport = transport
        self.logs = logs
        self.woken = asyncio.Event()
        self.subscription: FeedSubscription | None = None

    async def read(self, after: Cursor | None = None, types: tuple[str, ...] = TYPES) -> None:
        """Subscribe, and again from another place."""
        if self.subscription is not None:
            await self.subscription.close()
        cursors = [after] if after else []
        self.subscription = await self.transport.subscribe(
            READER, {SOURCE: types}, cursors, self.woken.set
        )

    async def take(self, number: int) -> list[Envelope]:
        assert self.subscription is not None
        return [got.message for got in await take(self.subscription, self.woken, number)]

    def take_all(self) -> list[Envelope]:
        assert self.subscription is not None
        return [received.message for received in self.subscription.take(10_000)]

    def said(self, event: str) -> list[str]:
        """Return why, as often as it was logged."""
        return [str(line.get("reason", "")) for line in self.logs if line["event"] == event]

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                await asyncio.sleep(0.01)

    async def until_not_behind(self) -> None:
        assert self.subscription is not None
        async with asyncio.timeout(10):
            while await self.subscription.behind():
                await asyncio.sleep(0.01)


ReaderOf = Callable[[str], Awaitable[Reader]]


def behind(read: Envelope) -> Cursor:
    place = CursorId("consumer", SOURCE, read.incarnation)
    return Cursor(place, read.position, read.position)
