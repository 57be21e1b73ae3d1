"""The provider and the carrier by their own code, on ledgers in memory."""

from __future__ import annotations

import asyncio
import json
from collections import Counter as Count
from collections.abc import Awaitable, Callable, Collection
from contextvars import Context
from functools import partial
from typing import Any, cast

import asyncpg

from services.outside import carrier, provider
from services.outside.behaviour import GRANTS, of_address, of_token
from services.outside.carrier import ParcelEntry
from services.outside.counter import AnswerLost, Counter, Down
from services.outside.ledger import Ledger
from services.outside.provider import ChargeEntry
from stagepost.engine.calls_memory import Reply, Route
from stagepost.engine.database import Queries
from stagepost.errors import StoreUnavailable
from tests.simulation.faults import READ, WRITE, Io
from tests.simulation.loop import Process, VirtualLoop

UNAVAILABLE = 503


class Ledgers:
    """The tables of the world outside, which outlive its process."""

    def __init__(self) -> None:
        self.tables: dict[str, list[dict[str, Any]]] = {"charges": [], "parcels": []}
        self._lost: Count[str] = Count()

    async def read(self, table: str, keys: Collection[str], references: Collection[str]) -> Any:
        return [
            {"entry": json.dumps(row)}
            for row in self.tables[table]
            if row["idempotency_key"] in keys or row["reference"] in references
        ]

    async def record(self, table: str, rows: str) -> Any:
        fresh = json.loads(rows)
        for unique in (("idempotency_key",), ("reference", "number")):
            known = {tuple(row[name] for name in unique) for row in self.tables[table]}
            if any(tuple(row[name] for name in unique) in known for row in fresh):
                raise asyncpg.UniqueViolationError(f"{unique} of {table}")
        self.tables[table] += fresh
        return []

    async def lose_answer(self, key: str, most: int) -> Any:
        if self._lost[key] >= most:
            return None
        self._lost[key] += 1
        return {"nth": self._lost[key]}


class FaultyLedgers:
    """The `Queries` of the outside's own code."""

    def __init__(self, ledgers: Ledgers, io: Io) -> None:
        self._ledgers = ledgers
        self._io = io

    async def fetch(self, name: str, *args: Any) -> Any:
        verb, table = name.split("_")
        act = partial(getattr(self._ledgers, verb), table, *args)
        return await self._reach(name, act, WRITE if verb == "record" else READ)

    async def fetchrow(self, name: str, *args: Any) -> Any:
        return await self._reach(name, partial(getattr(self._ledgers, name), *args), READ)

    async def _reach(self, name: str, act: Callable[[], Awaitable[Any]], able: Any) -> Any:
        failed = StoreUnavailable("simulated")
        return await self._io.reach("ledgers", f"ledgers.{name}", act, able=able, failed=failed)


class Outside:
    """One process with the provider and the carrier in it."""

    def __init__(
        self, process: Process, ledgers: Ledgers, io: Io, loop: VirtualLoop, slow_seconds: float
    ) -> None:
        queries = cast("Queries", FaultyLedgers(ledgers, io))
        linger = partial(asyncio.sleep, slow_seconds)
        self._process = process
        self._loop = loop
        self._charges = Counter(Ledger(queries, "charges", ChargeEntry), queries, linger)
        self._parcels = Counter(Ledger(queries, "parcels", ParcelEntry), queries, linger)

    async def charge(self, body: bytes, key: str) -> str:
        asked = provider.Charge.model_validate_json(body)
        decide = partial(provider.charge, asked, key)
        return await self._charges.ask(key, asked.reference, of_token(asked.payment_token), decide)

    async def refund(self, body: bytes, key: str) -> str:
        asked = provider.Refund.model_validate_json(body)
        decide = partial(provider.refund, asked, key)
        return await self._charges.ask(key, asked.reference, GRANTS, decide)

    async def dispatch(self, body: bytes, key: str) -> str:
        asked = carrier.Dispatch.model_validate_json(body)
        decide = partial(carrier.dispatch, asked, key)
        return await self._parcels.ask(key, asked.reference, of_address(asked.ship_to), decide)

    async def serve(self, path: str, body: bytes, key: str) -> Reply:
        """Answer one request within the outside's own process."""
        if not self._process.alive:
            raise ConnectionRefusedError
        answered: asyncio.Future[Reply] = self._loop.create_future()
        act = {"/charges": self.charge, "/refunds": self.refund, "/parcels": self.dispatch}[path]

        async def work() -> None:
            try:
                reply = Reply((await act(body, key)).encode())
            except AnswerLost:
                answered.set_exception(ConnectionResetError())
            except (Down, StoreUnavailable) as error:
                answered.set_result(Reply(repr(error).encode(), UNAVAILABLE))
            else:
                answered.set_result(reply)

        context: Context = self._process.context
        self._loop.create_task(work(), context=context)
        return await answered


def routes(outside: Callable[[], Outside]) -> dict[tuple[str, str], Route]:
    """Return where the world is reached: whichever process of it lives right now."""

    def to(path: str) -> Route:
        async def ask(body: bytes, key: str) -> Reply:
            return await outside().serve(path, body, key)

        return ask

    return {
        ("provider", "/charges"): to("/charges"),
        ("provider", "/refunds"): to("/refunds"),
        ("carrier", "/parcels"): to("/parcels"),
    }
