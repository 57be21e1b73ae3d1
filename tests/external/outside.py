"""The counter service on a real broker, and who commands it from outside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import nats
from nats.aio.client import Client

from stagepost.engine.external import EXTERNAL
from stagepost.engine.links import Links
from stagepost.engine.network import Network
from stagepost.engine.transport_names import NATS
from stagepost.engine.transports.nats import NatsTransport
from stagepost.engine.transports.nats_api import ask
from stagepost.engine.transports.nats_rules import ADMIN
from tests.engine.counter import COUNTER, COUNTER_CLIENT
from tests.engine.counter import World as CounterWorld
from tests.engine.nats_server import NatsServer

SENDERS: Mapping[str, tuple[str, ...]] = {"webshop": ("counter.Count",), "idle": ()}
SERVICES = (COUNTER, COUNTER_CLIENT)


@dataclass
class Outside:
    """Somebody outside, as any client of NATS could be."""

    name: str
    client: Client
    refused: list[str] = field(default_factory=list)

    async def send(self, key: str, by: object, identity: UUID | None = None, **more: Any) -> UUID:
        """Command a count, in the way that is agreed unless `more` says otherwise."""
        identity = identity or uuid4()
        said = {"caller": self.name, "reference": key, "name": key, "by": by} | more
        await self.put(json.dumps(said).encode(), {"ce-id": str(identity), "ce-version": "1"})
        return identity

    async def put(
        self, body: bytes, headers: Mapping[str, str], *, sender: str = "", name: str = "Count"
    ) -> None:
        """Store whatever it is; the broker says that it did."""
        subject = f"{EXTERNAL}.{sender or self.name}.command.counter.{name}"
        reply = await self.client.request(subject, body, timeout=5, headers=dict(headers))
        assert json.loads(reply.data)["stream"] == EXTERNAL

    async def next_answer(self) -> dict[str, Any]:
        """Take what answers the next command, and say that it is taken."""
        answers = await self.client.jetstream().pull_subscribe_bind(self.name, "counter")
        (answer,) = await answers.fetch(1, timeout=10)
        await answer.ack()
        await answers.unsubscribe()
        said: dict[str, Any] = json.loads(answer.data)
        return said


class World(CounterWorld):
    """The counter, which hears its client and whoever is outside over a real broker."""

    def __init__(self, server: NatsServer) -> None:
        super().__init__()
        self.server = server
        self.senders = SENDERS
        self.first = uuid4()
        self.connections: list[Client | NatsTransport] = []

    def network(self) -> Network:
        transport = NatsTransport(self.server.url("counter"), "counter")
        self.connections.append(transport)
        links = Links(external=self.senders)
        return Network({NATS: transport}, transport, links=links, hears_outside=True)

    async def outside(self, name: str) -> Outside:
        """Connect as somebody: `admin` may do everything, also in the name of others."""
        client = Client()
        person = Outside(name, client)

        async def note(error: Exception) -> None:
            person.refused.append(str(error))

        inbox = f"_INBOX_{name}".encode()
        await client.connect(
            self.server.url(name), inbox_prefix=inbox, error_cb=note, allow_reconnect=False
        )
        self.connections.append(client)
        return person

    async def until_heard(self, *sent: UUID) -> dict[UUID, str]:
        """Wait until these are in the inbox; return the outcomes."""
        async with asyncio.timeout(10):
            while True:
                lines = await self.store.journal(None, 0, 10_000)
                seen = {line.id: str(line.outcome) for line in lines if line.direction == "in"}
                if seen.keys() >= set(sent):
                    return {name: seen[name] for name in sent}
                await asyncio.sleep(0.01)

    async def forget(self) -> None:
        """Have the broker lose the stream, and make it again."""
        admin = await nats.connect(self.server.url(ADMIN))
        await ask(admin, f"STREAM.DELETE.{EXTERNAL}")
        await admin.close()
        await self.server.provision()

    async def close(self) -> None:
        for connection in self.connections:
            await connection.close()
