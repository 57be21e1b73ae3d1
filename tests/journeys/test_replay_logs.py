"""What a person types about what happened, on a stack that takes orders and on what it left."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from stagepost.engine.stack import Stack
from stagepost.engine.stack.reach import started
from tests.journeys.test_cli import stagepost
from tests.journeys.test_replay_views import orders_flow, typed


async def test_an_order_is_followed_while_others_come(stack: Stack) -> None:
    async with orders_flow(stack) as placed:
        order = placed[0]
        async with asyncio.timeout(60):
            while len(await typed(stack, "diff", "ordering", f"order/{order}")) < 2:
                await asyncio.sleep(0.2)
        happened = await typed(stack, "events", "ordering", "--order", order)
        messages = await typed(stack, "trace", order)
        drawn = await stagepost("trace", order, "--mermaid", data=stack.data)
        state = await typed(stack, "state", "ordering", f"order/{order}", "--version", "1")

    assert [one["topic"] for one in happened] == [
        "ordering.Order.Placed",
        "ordering.Order.Rejected",
    ]
    assert messages[0]["type"] == "ordering.PlaceOrder"
    assert "  fulfillment->>payments: RetrievePayment" in drawn.out
    assert "  ordering-->>fulfillment: OrderPlaced" in drawn.out
    assert state["state"]["status"] == "placed"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("events paymets", "there is no service 'paymets'; did you mean payments"),
        ("events payments --since 2026-01-01T00:00", "has no zone"),
        ("events payments --type paymnts.*", "there is no type in payments"),
        ("events payments --order nobody-placed-this", "there is no order in payments"),
        ("state inventory stock/none-such", "there is no stream in inventory"),
        ("state inventory stock/x --version 1 --position 1", "give one of"),
        ("trace nobody-placed-this", "there is no order 'nobody-placed-this'"),
    ],
)
async def test_bad_input_ends_with_2_and_says_what_there_is(
    stack: Stack, command: str, said: str
) -> None:
    answer = await stagepost(*command.split(), data=stack.data)
    assert (answer.status, answer.out) == (2, "")
    assert said in answer.err


async def test_where_no_stack_has_been_that_is_said(tmp_path: Path) -> None:
    answer = await stagepost("trace", "10248", data=tmp_path)
    assert answer.status == 2
    assert f"no stack has left data in {tmp_path}" in answer.err


async def test_what_a_stack_has_left_is_read_by_its_postgresql_alone(tmp_path: Path) -> None:
    async with Stack(tmp_path, say=lambda _: None):
        pass
    answer = await stagepost("events", "ordering", "--json", data=tmp_path)
    assert (answer.status, json.loads(answer.out)) == (0, [])
    assert "its PostgreSQL runs for as long as this takes" in answer.err
    async with started(tmp_path):  # nothing is left that would hold the folder
        pass
