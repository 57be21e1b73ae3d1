"""One of the services in this process, on a database and with an HTTP client of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from httpx import ASGITransport, AsyncClient, Response

from stagepost.engine.calls import Calls
from stagepost.engine.calls_memory import MemoryCalls
from stagepost.engine.database import Queries, open_pool, read_statements
from stagepost.engine.discovery import find_services
from stagepost.engine.flow import Flow
from stagepost.engine.ids import SystemIds
from stagepost.engine.network import Network
from stagepost.engine.runtime import Instance
from stagepost.engine.store_postgres import PostgresStore
from stagepost.engine.tables_postgres import PostgresTables
from stagepost.engine.telemetry import Metrics
from stagepost.engine.transport_names import NATS
from stagepost.engine.transports.memory import MemoryBroker, MemoryTransport
from stagepost.engine.web import make_app

SERVICES = find_services()


@dataclass
class Running:
    """An instance, and who asks it."""

    client: AsyncClient
    instance: Instance

    async def see(self, path: str) -> Any:
        answer = await self.client.get(path)
        return answer.json() if answer.is_success else None

    async def until(self, path: str, **expected: object) -> Any:
        """Wait until what stands under a path has these values; return it."""
        async with asyncio.timeout(10):
            while True:  # each look lets the others work
                found = await self.see(path)
                if found is not None and expected.items() <= found.items():
                    return found

    async def register(self, customer_id: str = "ada", **more: object) -> Response:
        body = {"customer_id": customer_id, "name": "Ada Lovelace", "email": "ada@example.org"}
        return await self.client.post("/customers", json=body | more)


@asynccontextmanager
async def running(
    name: str,
    dsn: str,
    broker: MemoryBroker,
    *,
    calls: Calls | None = None,
    holder: str = "1",
    delays: dict[str, float] | None = None,
) -> AsyncIterator[Running]:
    """Run an instance of a service."""
    service = SERVICES[name]
    pool = await open_pool(dsn, size=3)
    store, metrics = PostgresStore(pool, name), Metrics("test")
    sql = service.sql / "queries.sql"
    instance = Instance(
        service,
        SERVICES,
        holder=holder,
        store=store,
        tables=PostgresTables(pool, read_statements(sql)),
        network=Network({NATS: (transport := MemoryTransport(broker))}, transport),
        calls=calls or MemoryCalls({}, timeout=1),
        ids=SystemIds(),
        metrics=metrics,
        delays=delays or {},
        lease_seconds=5,
    )
    app = make_app(
        service,
        desk=instance.desk,
        queries=Queries(pool, sql),
        store=store,
        ids=SystemIds(),
        answers=instance.answers,
        probes=(),
        registry=metrics.registry,
        flow=Flow(),
    )
    task = asyncio.create_task(instance.run())
    transport_to = ASGITransport(app)  # type: ignore[arg-type]  # Litestar says ASGI more exactly
    async with AsyncClient(transport=transport_to, base_url="http://test") as client:
        yield Running(client, instance)
    task.cancel()
    await asyncio.wait([task])
    await pool.close()
