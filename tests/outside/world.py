"""The outside world in the tests' own process, and what its ledgers say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import aiohttp
from aiohttp import test_utils

from services.outside.app import make_app
from stagepost.engine.database import Pool, open_pool

CHARGES, REFUNDS, PARCELS = "/provider/charges", "/provider/refunds", "/carrier/parcels"
PATIENCE = 20
LINES = [{"sku": "red-chair", "quantity": 2}, {"sku": "tea-set", "quantity": 3}]


Lingering: TypeAlias = asyncio.Queue[asyncio.Event]


@dataclass
class Outside:
    """The outside world, and what is in its ledgers."""

    http: test_utils.TestClient[Any, Any]
    pool: Pool
    lingering: Lingering

    async def until_lingering(self) -> asyncio.Event:
        async with asyncio.timeout(PATIENCE):
            return await self.lingering.get()

    async def post(self, path: str, key: str, **body: object) -> tuple[int, bytes]:
        async with self.http.post(path, json=body, headers={"Idempotency-Key": key}) as answer:
            return answer.status, await answer.read()

    async def charge(self, reference: str, key: str, **other: object) -> tuple[int, bytes]:
        body = {"amount": 2598, "currency": "EUR", "payment_token": "tok_ok", **other}
        return await self.post(CHARGES, key, order_id=reference, reference=reference, **body)

    async def refund(self, reference: str, key: str) -> tuple[int, bytes]:
        return await self.post(REFUNDS, key, order_id=reference, reference=reference)

    async def ship(self, reference: str, key: str, ship_to: str) -> tuple[int, bytes]:
        return await self.post(
            PARCELS, key, order_id=reference, reference=reference, lines=LINES, ship_to=ship_to
        )

    async def money(self, reference: str) -> list[tuple[str, int]]:
        rows = await self.pool.fetch(
            "SELECT kind, amount FROM charges WHERE reference = $1 ORDER BY id", reference
        )
        return [(row["kind"], row["amount"]) for row in rows]

    async def units(self, reference: str) -> list[tuple[str, int]]:
        rows = await self.pool.fetch(
            "SELECT kind, units FROM parcels WHERE reference = $1 ORDER BY id", reference
        )
        return [(row["kind"], row["units"]) for row in rows]


async def linger(lingering: Lingering) -> None:
    """Wait until somebody takes the event from the queue, and sets it."""
    let_go = asyncio.Event()
    lingering.put_nowait(let_go)
    await let_go.wait()


@asynccontextmanager
async def started(dsn: str) -> AsyncIterator[Outside]:
    """Start the outside world; what is slow lingers until it is let go."""
    lingering: Lingering = asyncio.Queue()
    pool = await open_pool(dsn)
    server = test_utils.TestServer(make_app(pool, linger=partial(linger, lingering)))
    patience = aiohttp.ClientTimeout(total=PATIENCE)
    async with test_utils.TestClient(server, timeout=patience) as http:
        yield Outside(http, pool, lingering)
    await pool.close()
