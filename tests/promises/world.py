"""A small shop that has run: all services in one process, with schemas instead of databases."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import asyncpg
import orjson

import services.outside
from services.customers.requests import RegisterCustomer
from services.demo.promises import Audit
from services.inventory.requests import DeclareSku, ReceiveStock
from services.ordering.order import OrderLine
from services.ordering.requests import PlaceOrder, RequestCancellation
from services.outside import carrier, provider
from stagepost.engine.database import SQL, Connection, open_pool, read_statements
from stagepost.engine.discovery import find_services
from stagepost.engine.ids import SystemIds
from stagepost.engine.network import Network
from stagepost.engine.runtime import Instance
from stagepost.engine.store_postgres import PostgresStore
from stagepost.engine.tables_postgres import PostgresTables
from stagepost.engine.telemetry import Metrics
from stagepost.engine.transport_names import NATS
from stagepost.engine.transports.memory import MemoryBroker, MemoryTransport
from stagepost.errors import CallFailed
from stagepost.messages import Request

SERVICES = find_services()
REGISTERED = ("c1", "c3")
TAKEN = orjson.dumps({"proof": {"said": "2.0.0 Ok", "sha256": "0" * 64}})
REFUSED = orjson.dumps({"reason": "550 no such mailbox"})
OUTSIDE_SQL = Path(services.outside.__file__).parent / "sql"


@dataclass
class Outside:
    """The provider and the carrier by their own rules, with ledgers in the schema `outside`.

    The mail server takes everything but what goes to `c3`, whom it does not know.
    """

    connection: Connection
    charges: list[provider.ChargeEntry] = field(default_factory=list)
    parcels: list[carrier.ParcelEntry] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def post(self, to: str, path: str, body: bytes, idempotency_key: str) -> bytes:
        if to == "mail":
            return REFUSED if b'"c3"' in body else TAKEN
        async with self.lock:
            entry = self._known(idempotency_key) or await self._act(path, body, idempotency_key)
        if b"tok_lost_answer" in body and idempotency_key not in self.lost:
            self.lost.add(idempotency_key)
            raise CallFailed(f"{to} closed the connection")
        return entry.answer.encode()

    async def close(self) -> None:
        """Nothing is open."""

    def _known(self, key: str) -> provider.ChargeEntry | carrier.ParcelEntry | None:
        return next((e for e in (*self.charges, *self.parcels) if e.idempotency_key == key), None)

    async def _act(
        self, path: str, body: bytes, key: str
    ) -> provider.ChargeEntry | carrier.ParcelEntry:
        if path == "/parcels":
            asked = carrier.Dispatch.model_validate_json(body)
            gone = [p for p in self.parcels if p.reference == asked.reference]
            parcel = carrier.dispatch(asked, key, gone)
            self.parcels.append(parcel)
            await self._record("parcels", parcel.model_dump_json())
            return parcel
        entry = self._charge_or_refund(path, body, key)
        self.charges.append(entry)
        await self._record("charges", entry.model_dump_json())
        return entry

    def _charge_or_refund(self, path: str, body: bytes, key: str) -> provider.ChargeEntry:
        reference = orjson.loads(body)["reference"]
        past = [c for c in self.charges if c.reference == reference]
        if path == "/charges":
            return provider.charge(provider.Charge.model_validate_json(body), key, past)
        return provider.refund(provider.Refund.model_validate_json(body), key, past)

    async def _record(self, table: str, row: str) -> None:
        statement = read_statements(OUTSIDE_SQL / "queries.sql")[f"record_{table}"]
        await self.connection.execute(statement, f"[{row}]")


async def make_schemas(owner: Connection) -> None:
    """Give each service a schema instead of a database: the checks see no difference."""
    folders = {name: service.sql for name, service in SERVICES.items()} | {"outside": OUTSIDE_SQL}
    for name, folder in folders.items():
        await owner.execute(f"CREATE SCHEMA {name}; SET search_path = {name}")
        platform = SQL.glob("[0-9]*.sql") if name in SERVICES else ()
        for file in sorted([*platform, *folder.glob("[0-9]*.sql")], key=lambda file: file.name):
            await owner.execute(file.read_text())
    await owner.execute("RESET search_path")


async def run_shop(
    dsn: str, orders: Sequence[PlaceOrder], stock: dict[str, int], audit: Audit
) -> None:
    """Place orders (and cancel those named `cancel-...`), and let everything come to rest."""
    async with AsyncExitStack() as stack:
        outside = Outside(await asyncpg.connect(in_schema(dsn, "outside")))
        stack.push_async_callback(outside.connection.close)
        broker = MemoryBroker()
        instances = {name: await _instance(name, dsn, broker, outside, stack) for name in SERVICES}
        running = [asyncio.create_task(instance.run()) for instance in instances.values()]
        try:
            await _keep_shop(instances, orders, stock)
            await until_at_rest(audit)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


async def _keep_shop(
    instances: dict[str, Instance], orders: Sequence[PlaceOrder], stock: dict[str, int]
) -> None:
    for sku, quantity in stock.items():
        await instances["inventory"].desk.request(DeclareSku(sku=sku))
        await instances["inventory"].desk.request(ReceiveStock(sku=sku, quantity=quantity))
    for customer_id in REGISTERED:
        await instances["customers"].desk.request(
            RegisterCustomer(
                customer_id=customer_id, name="Ada", email=f"{customer_id}@example.org"
            )
        )
    ordering = instances["ordering"].desk
    for order in orders:
        asks: list[Request] = [order]
        if order.order_id.startswith("cancel"):
            asks.append(RequestCancellation(order_id=order.order_id))
        await asyncio.gather(*map(ordering.request, asks))


async def until_at_rest(audit: Audit) -> None:
    """Wait until nothing is under way any more."""
    async with asyncio.timeout(30):
        while any((await audit.row("under_way")).values()):  # seen in SQL only
            await asyncio.sleep(0.02)


async def _instance(
    name: str, dsn: str, broker: MemoryBroker, outside: Outside, stack: AsyncExitStack
) -> Instance:
    pool = await open_pool(in_schema(dsn, name), size=3)
    stack.push_async_callback(pool.close)
    service = SERVICES[name]
    return Instance(
        service,
        SERVICES,
        holder=name,
        store=PostgresStore(pool, name),
        tables=PostgresTables(pool, read_statements(service.sql / "queries.sql")),
        network=Network({NATS: (transport := MemoryTransport(broker))}, transport),
        calls=outside,
        ids=SystemIds(),
        metrics=Metrics(name),
        delays={},
        lease_seconds=30,
    )


def in_schema(dsn: str, schema: str) -> str:
    """Return a DSN whose sessions see this schema alone."""
    return f"{dsn}{'&' if '?' in dsn else '?'}options=-csearch_path%3D{schema}"


def place(
    order_id: str, customer: str = "c1", token: str = "tok_ok", to: str = "Reims", **units: int
) -> PlaceOrder:
    """An order of so many units of each SKU, at 10.50 each."""
    lines = tuple(
        OrderLine(sku=sku, quantity=n, unit_price=Decimal(1050)) for sku, n in units.items()
    )
    return PlaceOrder(
        order_id=order_id,
        customer_id=customer,
        lines=lines,
        currency="EUR",
        payment_token=token,
        ship_to=to,
    )
