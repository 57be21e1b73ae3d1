"""Provider and carrier over HTTP, with their ledgers in PostgreSQL."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import aiohttp
import asyncpg
import pytest

from services.outside.app import SQL
from services.outside.behaviour import Behaviour
from services.outside.counter import Counter
from services.outside.ledger import Ledger
from services.outside.provider import Charge, ChargeEntry, charge
from stagepost.engine.database import Pool, Queries
from stagepost.errors import StoreUnavailable
from tests.conftest import Database
from tests.outside.world import PATIENCE, Lingering, Outside, linger, started


def a_charge(reference: str) -> Charge:
    return Charge(
        order_id="1", reference=reference, amount=2598, currency="EUR", payment_token="tok_ok"
    )


class NothingYet(Ledger[ChargeEntry]):
    """A ledger in which late ones find nothing before they wait."""

    async def find(self, _: str) -> None:
        return None


def slow_counter(pool: Pool) -> tuple[Counter[ChargeEntry], Lingering]:
    lingering: Lingering = asyncio.Queue()
    queries = Queries(pool, SQL / "queries.sql")
    ledger = NothingYet(queries, "charges", ChargeEntry)
    return Counter(ledger, queries, partial(linger, lingering)), lingering


async def ask_late(counter: Counter[ChargeEntry], key: str, reference: str) -> str:
    decide = partial(charge, a_charge(reference), key)
    return await counter.ask(key, reference, Behaviour(late=True), decide)


async def test_a_card_is_charged_and_given_back(outside: Outside, reference: str) -> None:
    assert await outside.charge(reference, f"{reference}-1") == (
        200,
        f'{{"accepted":true,"charge_id":"ch_{reference}-1","reason":null,'
        '"amount":2598,"currency":"EUR"}'.encode(),
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
    counter, lingering = slow_counter(outside.pool)
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        first = group.create_task(ask_late(counter, key, reference))
        second = group.create_task(ask_late(counter, key, reference))
        (await lingering.get()).set()
    assert first.result() == second.result()
    assert lingering.empty()


async def test_a_slow_charge_goes_on_when_its_client_gives_up(
    outside: Outside, key: str, reference: str
) -> None:
    counter, lingering = slow_counter(outside.pool)
    async with asyncio.timeout(PATIENCE):
        given_up = asyncio.create_task(ask_late(counter, key, reference))
        late = await lingering.get()
        given_up.cancel()
        await asyncio.wait({given_up})
        again = asyncio.create_task(ask_late(counter, key, reference))
        late.set()
        assert '"accepted":true' in await again
    assert lingering.empty()


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
    assert await charging == (
        200,
        b'{"accepted":false,"charge_id":null,"reason":"barred","amount":null,"currency":null}',
    )
    assert await outside.money(reference) == [("refund", 0), ("declined", 0)]


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


@pytest.mark.parametrize("role", ["service", "auditor"])
@pytest.mark.parametrize("statement", ["UPDATE charges SET amount = 0", "DELETE FROM parcels"])
async def test_nobody_changes_what_stands_in_a_ledger(
    database: Database, role: str, statement: str
) -> None:
    connection = await asyncpg.connect(getattr(database, role))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)
    await connection.close()
