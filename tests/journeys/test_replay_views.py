"""What a person types about views, other code and late readers, on a stack that takes orders."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from stagepost.engine.stack import Stack
from tests.journeys.requests import constant_requests
from tests.journeys.test_cli import stagepost

_numbers = count(1)


@asynccontextmanager
async def orders_flow(stack: Stack) -> AsyncIterator[list[str]]:
    """Take orders for as long as the test is inside; yields their ids."""
    placed: list[str] = []
    done = asyncio.Event()

    async def place(http: aiohttp.ClientSession) -> None:
        while not done.is_set():
            name = f"replayed-{next(_numbers)}"
            order = {
                "order_id": name,
                "customer_id": "c1",
                "currency": "EUR",
                "payment_token": "tok_ok",
                "ship_to": "Reims",
                "lines": [{"sku": "nothing-left", "quantity": 1, "unit_price": 100}],
            }
            async with http.post("/orders", json=order) as answer:
                assert answer.status == 202, await answer.text()
            placed.append(name)
            await asyncio.sleep(0.02)

    async with aiohttp.ClientSession(stack.url("ordering")) as http, asyncio.TaskGroup() as group:
        group.create_task(place(http))
        while len(placed) < 5:
            await asyncio.sleep(0.02)
        try:
            yield placed
        finally:
            done.set()


async def typed(stack: Stack, *command: str, status: int = 0) -> Any:
    """Type a command with --json; return what it says."""
    said = await stagepost(*command, "--json", data=stack.data)
    assert said.status == status, said.err
    return json.loads(said.out)


async def test_every_view_is_shown_with_its_lag(stack: Stack) -> None:
    found = await typed(stack, "views")
    assert {(one["service"], one["view"]) for one in found} >= {
        ("ordering", "orders"),
        ("inventory", "stock"),
        ("inventory", "reservations"),
    }
    assert list(found[0]) == ["service", "view", "position", "lag", "rows", "rebuilt_at"]


async def test_a_rebuild_under_load_stops_no_reader_and_finds_what_was_wrong(stack: Stack) -> None:
    async with (
        orders_flow(stack) as placed,
        constant_requests(f"{stack.url('ordering')}/orders?limit=500") as answers,
    ):
        owner = await asyncpg.connect(stack.databases.owner_dsn("ordering"))
        async with asyncio.timeout(30):
            wrong = "UPDATE orders SET amount = 1 WHERE order_id = $1 RETURNING 1"
            while not await owner.fetchval(wrong, placed[0]):
                await asyncio.sleep(0.05)
        first = await typed(stack, "rebuild", "ordering", "orders")
        second = await typed(stack, "rebuild", "ordering", "orders")
        await owner.close()

    assert first["differences"] == 1
    assert first["first"][0] | {"key": ""} == {
        "key": "", "field": "amount", "stored": 1, "replayed": 100,
    }  # fmt: skip
    assert second["differences"] == 0
    assert set(answers) == {200}
    found = {one["view"]: one for one in await typed(stack, "views")}
    assert found["orders"]["rebuilt_at"] is not None
    listed: list[str] = []
    async with aiohttp.ClientSession(stack.url("ordering")) as http, asyncio.timeout(30):
        while not set(placed) <= set(listed):
            url: str | None = "/orders?limit=500"
            while url is not None:
                async with http.get(url) as answer:
                    page = await answer.json()
                listed += [row["order_id"] for row in page["items"]]
                url = page.get("next")


async def test_all_that_is_kept_is_verified_while_orders_flow(stack: Stack) -> None:
    async with orders_flow(stack):
        found = await typed(stack, "verify")
    assert found["equal"], [one for one in found["checked"] if not one["equal"]]
    assert len(found["checked"]) > 20
    assert list(found["checked"][0]) == [
        "service", "what", "position", "count", "differences", "first", "fault", "equal",
    ]  # fmt: skip


async def test_a_row_that_was_changed_by_hand_is_found_and_the_status_is_1(stack: Stack) -> None:
    owner = await asyncpg.connect(stack.databases.owner_dsn("fulfillment"))
    async with orders_flow(stack), asyncio.timeout(30):
        harm = (
            "UPDATE processes SET customer_id = 'x'"
            " WHERE stream = (SELECT min(stream::text)::uuid FROM processes)"
            " RETURNING stream, old.customer_id AS was"
        )
        while not (row := await owner.fetchrow(harm)):
            await asyncio.sleep(0.05)
    said = await stagepost("verify", data=stack.data)
    await typed(stack, "rebuild", "fulfillment", "processes")
    await owner.close()
    assert said.status == 1
    harmed = f'  {row["stream"]}: customer_id is "x", the events make it "{row["was"]}"'
    assert harmed in said.out
    assert (await stagepost("verify", data=stack.data)).status == 0


async def test_recorded_input_goes_through_other_code(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "my_module.py").write_text(
        "from services.fulfillment.process import react as ours\n"
        "from stagepost.process import ignore\n"
        "def react(state, message):\n"
        "    return ignore(state) if 'Stock' in message.TYPE else ours(state, message)\n"
    )
    async with orders_flow(stack):
        same = await typed(
            stack, "replay", "fulfillment", "--with", "services.fulfillment.process:react"
        )
    assert same["differing"] == 0
    assert same["decisions"] > same["keys"] > 0
    said = await stagepost(
        "replay", "fulfillment", "--with", "my_module:react", data=stack.data, folder=tmp_path
    )
    assert said.status == 1
    assert "ignores" in said.out
    assert "inventory.StockRejected" in said.out


async def test_a_reader_that_was_there_all_along_has_nothing_to_catch_up_with(stack: Stack) -> None:
    async with orders_flow(stack):
        done = await typed(stack, "backfill", "loyalty", "--from", "ordering")
    assert list(done) == [
        "reader", "source", "read", "known", "handled", "incarnation", "position", "goes_on",
    ]  # fmt: skip
    assert done["read"] >= done["known"] + done["handled"] > 0 or done["position"] > 0


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (("rebuild", "ordering", "order"), "no view of ordering 'order'; did you mean orders?"),
        (("rebuild", "orderin", "orders"), "no service 'orderin'; did you mean ordering?"),
        (("replay", "payments", "--with", "services.fulfillment.process:react"), "has no process"),
        (("replay", "fulfillment", "--with", "react"), "write it as my_module:react"),
        (("backfill", "loyalty", "--from", "payments"), "reads those of ordering, customers"),
        (("backfill", "loyalti", "--from", "ordering"), "did you mean loyalty?"),
    ],
)
async def test_a_wrong_call_ends_with_2_and_says_what_there_is(
    stack: Stack, command: tuple[str, ...], complaint: str
) -> None:
    said = await stagepost(*command, data=stack.data)
    assert (said.status, said.out) == (2, "")
    assert complaint in said.err
