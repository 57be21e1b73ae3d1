"""Provider and carrier over HTTP, with their ledgers in PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
import pytest
from aiohttp import test_utils

from services.outside.app import SQL, make_app
from services.outside.behaviour import Behaviour
from services.outside.counter import Counter
from services.outside.ledger import Ledger
from services.outside.provider import Charge, ChargeEntry, charge
from stagepost.engine.database import Pool, Queries, open_pool
from stagepost.errors import StoreUnavailable
from tests.outside.server import Database

CHARGES, REFUNDS, PARCELS = "/provider/charges", "/provider/refunds", "/carrier/parcels"
PATIENCE = 20
TOO_MUCH = 1024 * 1024 + 1
LINES = [{"sku": "red-chair", "quantity": 2}, {"sku": "tea-set", "quantity": 3}]


@dataclass
class Outside:
    """The outside world, and what is in its ledgers."""

    http: test_utils.TestClient[Any, Any]
    pool: Pool
    lingering: asyncio.Queue[asyncio.Event]

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


@asynccontextmanager
async def started(dsn: str) -> AsyncIterator[Outside]:
    """Start the outside world; what is slow lingers until it is let go."""
    lingering: asyncio.Queue[asyncio.Event] = asyncio.Queue()

    async def linger() -> None:
        let_go = asyncio.Event()
        lingering.put_nowait(let_go)
        await let_go.wait()

    pool = await open_pool(dsn)
    server = test_utils.TestServer(make_app(pool, linger=linger))
    patience = aiohttp.ClientTimeout(total=PATIENCE)
    async with test_utils.TestClient(server, timeout=patience) as http:
        yield Outside(http, pool, lingering)
    await pool.close()


@pytest.fixture
async def outside(database: Database) -> AsyncIterator[Outside]:
    async with started(database.service) as world:
        yield world


def a_charge(reference: str) -> Charge:
    return Charge(
        order_id="1", reference=reference, amount=2598, currency="EUR", payment_token="tok_ok"
    )


@pytest.fixture
def key() -> str:
    return str(uuid4())


@pytest.fixture
def reference() -> str:
    return f"fulfillment/{uuid4()}"


async def test_a_card_is_charged_and_given_back(outside: Outside, reference: str) -> None:
    assert await outside.charge(reference, f"{reference}-1") == (
        200,
        f'{{"accepted":true,"charge_id":"ch_{reference}-1","reason":null}}'.encode(),
    )
    assert await outside.refund(reference, f"{reference}-2") == (200, b'{"amount":2598}')
    assert await outside.money(reference) == [("charge", 2598), ("refund", -2598)]


async def test_a_parcel_leaves(outside: Outside, key: str, reference: str) -> None:
    status, answer = await outside.ship(reference, key, "1 Station Road, Reims")
    assert (status, answer) == (
        200,
        f'{{"accepted":true,"tracking":"trk_{key}","reason":null}}'.encode(),
    )
    assert await outside.units(reference) == [("dispatched", 5)]


async def test_a_repeated_key_gets_the_stored_answer_also_after_a_restart(
    database: Database, key: str, reference: str
) -> None:
    async with started(database.service) as outside:
        first = await outside.charge(reference, key)
        again = await outside.charge(reference, key, amount=1, payment_token="tok_slow")
    async with started(database.service) as outside:
        after_the_restart = await outside.charge(reference, key, payment_token="tok_declined")
        ledger = await outside.money(reference)

    assert first[0] == 200
    assert first == again == after_the_restart
    assert ledger == [("charge", 2598)]


async def test_of_many_with_one_key_at_once_one_acts(
    outside: Outside, key: str, reference: str
) -> None:
    answers = await asyncio.gather(*(outside.charge(reference, key) for _ in range(20)))
    assert len(set(answers)) == 1
    assert await outside.money(reference) == [("charge", 2598)]


async def test_of_two_slow_ones_with_one_key_one_acts_and_the_other_gets_its_answer(
    outside: Outside, key: str, reference: str
) -> None:
    queries = Queries(outside.pool, SQL / "queries.sql")
    let_go, lingered = asyncio.Event(), asyncio.Semaphore(0)

    async def linger() -> None:
        lingered.release()
        await let_go.wait()

    class NothingYet(Ledger[ChargeEntry]):
        async def find(self, _: str) -> None:
            return None

    counter = Counter(NothingYet(queries, "charges", ChargeEntry), queries, linger)

    def ask() -> Coroutine[None, None, str]:
        return counter.ask(
            key, reference, Behaviour(late=True), partial(charge, a_charge(reference), key)
        )

    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        first, second = group.create_task(ask()), group.create_task(ask())
        await lingered.acquire()
        let_go.set()
    assert first.result() == second.result()
    assert lingered.locked()


async def test_of_many_keys_for_one_reference_at_once_one_is_charged(
    outside: Outside, reference: str
) -> None:
    answers = await asyncio.gather(
        *(outside.charge(reference, f"{reference}-{n}") for n in range(20))
    )
    assert len(set(answers)) == 1
    assert sorted(await outside.money(reference)) == [("charge", 2598), *[("repeated", 0)] * 19]


async def test_requests_at_the_same_time_share_a_write(outside: Outside, reference: str) -> None:
    await asyncio.gather(
        *(outside.charge(f"{reference}/{n}", f"{reference}/{n}") for n in range(100))
    )
    row = await outside.pool.fetchrow(
        "SELECT count(*) AS entries, count(DISTINCT xmin::text) AS transactions"
        " FROM charges WHERE reference LIKE $1 || '/%'",
        reference,
    )
    assert row is not None
    assert row["entries"] == 100
    assert row["transactions"] <= 50


async def test_a_slow_card_is_charged_late(outside: Outside, key: str, reference: str) -> None:
    charging = asyncio.create_task(outside.charge(reference, key, payment_token="tok_slow"))
    late = await outside.until_lingering()
    assert await outside.money(reference) == []
    late.set()
    assert (await charging)[0] == 200
    assert await outside.money(reference) == [("charge", 2598)]


async def test_a_refund_meanwhile_bars_a_slow_charge(
    outside: Outside, key: str, reference: str
) -> None:
    charging = asyncio.create_task(outside.charge(reference, key, payment_token="tok_slow"))
    late = await outside.until_lingering()
    assert await outside.refund(reference, f"{key}-refund") == (200, b'{"amount":0}')
    late.set()
    assert await charging == (200, b'{"accepted":false,"charge_id":null,"reason":"barred"}')
    assert await outside.money(reference) == [("refund", 0), ("declined", 0)]


async def test_a_slow_charge_goes_on_when_its_client_gives_up(
    outside: Outside, key: str, reference: str
) -> None:
    given_up = asyncio.create_task(outside.charge(reference, key, payment_token="tok_slow"))
    late = await outside.until_lingering()
    given_up.cancel()
    again = asyncio.create_task(outside.charge(reference, key, payment_token="tok_slow"))
    late.set()
    assert (await again)[0] == 200
    assert outside.lingering.empty()


async def test_a_provider_that_is_down_does_nothing(
    outside: Outside, key: str, reference: str
) -> None:
    for _ in range(3):
        status, _ = await outside.charge(reference, key, payment_token="tok_down")
        assert status == 503
    assert await outside.money(reference) == []


async def test_a_lost_answer_was_charged_and_comes_the_third_time_also_after_a_restart(
    database: Database, key: str, reference: str
) -> None:
    async with started(database.service) as outside:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await outside.charge(reference, key, payment_token="tok_lost_answer")
        assert await outside.money(reference) == [("charge", 2598)]
    async with started(database.service) as outside:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await outside.charge(reference, key, payment_token="tok_lost_answer")
        third = await outside.charge(reference, key, payment_token="tok_lost_answer")
        fourth = await outside.charge(reference, key, payment_token="tok_lost_answer")
        assert await outside.money(reference) == [("charge", 2598)]
    assert third == fourth
    assert third[0] == 200


@pytest.mark.parametrize(
    ("ship_to", "units"), [("12 REFUSED Lane", [("refused", 0)]), ("1 Down Street", [])]
)
async def test_no_parcel_leaves_for_such_an_address(
    outside: Outside, key: str, reference: str, ship_to: str, units: list[tuple[str, int]]
) -> None:
    status, _ = await outside.ship(reference, key, ship_to)
    assert status == (200 if units else 503)
    assert await outside.units(reference) == units


async def test_a_slow_address_gets_its_parcel_late(
    outside: Outside, key: str, reference: str
) -> None:
    shipping = asyncio.create_task(outside.ship(reference, key, "3 Slow Lane"))
    late = await outside.until_lingering()
    assert await outside.units(reference) == []
    late.set()
    assert (await shipping)[0] == 200
    assert await outside.units(reference) == [("dispatched", 5)]


@pytest.mark.parametrize("key", ["", "x" * 201, "käse"])
async def test_without_a_proper_key_nothing_is_done(
    outside: Outside, reference: str, key: str
) -> None:
    status, problem = await outside.charge(reference, key)
    assert status == 400
    assert b"Idempotency-Key" in problem
    assert await outside.money(reference) == []


@pytest.mark.parametrize(
    ("fault", "pointer"),
    [
        ({"amount": -1}, "/amount"),
        ({"amount": 2**63}, "/amount"),
        ({"amount": "12"}, "/amount"),
        ({"amount": 1.5}, "/amount"),
        ({"currency": "euro"}, "/currency"),
        ({"payment_token": None}, "/payment_token"),
        ({"payment_token": "a\x00b"}, "/payment_token"),
        ({"payment_token": "x" * 501}, "/payment_token"),
    ],
)
async def test_a_charge_that_is_not_as_agreed_is_a_problem_and_changes_nothing(
    outside: Outside, key: str, reference: str, fault: dict[str, object], pointer: str
) -> None:
    status, problem = await outside.charge(reference, key, **fault)
    assert status == 400
    assert f'"{pointer}: '.encode() in problem
    assert await outside.money(reference) == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", CHARGES, b"", 400),
        ("POST", CHARGES, b'{"order_id":', 400),
        ("POST", CHARGES, b'{"order_id": "\\ud800"}', 400),
        ("POST", CHARGES, b"\xff", 400),
        ("POST", CHARGES, b"x" * TOO_MUCH, 413),
        ("GET", CHARGES, None, 405),
        ("GET", "/nothing", None, 404),
        ("GET", "/provider/ledger?after=x", None, 400),
        ("GET", f"/provider/ledger?after={2**63}", None, 400),
        ("GET", "/provider/ledger?limit=0", None, 400),
    ],
)
async def test_bad_input_is_a_problem_document(
    outside: Outside, method: str, path: str, body: bytes | None, status: int
) -> None:
    headers = {"Idempotency-Key": "bad input"}
    async with outside.http.request(
        method, path, data=body and BytesIO(body), headers=headers
    ) as answer:
        assert answer.status == status
        assert answer.content_type == "application/problem+json"
        assert (await answer.json())["status"] == status


async def test_a_ledger_can_be_read_page_by_page(outside: Outside, reference: str) -> None:
    for n in range(3):
        await outside.charge(f"{reference}/{n}", f"{reference}/{n}")
    start = await outside.pool.fetchval(
        "SELECT id - 1 FROM charges WHERE reference = $1", f"{reference}/0"
    )
    path, seen = f"/provider/ledger?after={start}&limit=2", []
    while path:
        page = await (await outside.http.get(path)).json()
        seen += [item["reference"] for item in page["items"]]
        path = page["next"]
    assert seen == [f"{reference}/{n}" for n in range(3)]


async def test_what_another_process_recorded_meanwhile_is_not_overlooked(
    outside: Outside, key: str, reference: str
) -> None:
    # Of two writers that read the same past one fails, and sees the other's entry when asked again.
    class Overtaken(Queries):
        async def fetch(self, name: str, *args: Any) -> list[asyncpg.Record]:
            if name == "record_charges":
                await outside.refund(reference, f"{key}-refund")
            return await super().fetch(name, *args)

    asked = a_charge(reference)
    queries = Overtaken(outside.pool, SQL / "queries.sql")
    ledger = Ledger(queries, "charges", ChargeEntry)

    with pytest.raises(StoreUnavailable, match="another process writes to charges"):
        await ledger.record(key, reference, lambda past: charge(asked, key, past))
    entry = await ledger.record(key, reference, lambda past: charge(asked, key, past))

    assert entry.kind == "declined"
    assert await outside.money(reference) == [("refund", 0), ("declined", 0)]


async def test_without_its_database_the_world_is_closed(
    outside: Outside, key: str, reference: str
) -> None:
    await outside.pool.close()
    assert (await outside.charge(reference, key))[0] == 503
    assert (await outside.http.get("/health/ready")).status == 503
    assert (await outside.http.get("/health/live")).status == 200


@pytest.mark.parametrize("role", ["service", "auditor"])
@pytest.mark.parametrize("statement", ["UPDATE charges SET amount = 0", "DELETE FROM parcels"])
async def test_nobody_changes_what_stands_in_a_ledger(
    database: Database, role: str, statement: str
) -> None:
    connection = await asyncpg.connect(getattr(database, role))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)
    await connection.close()
