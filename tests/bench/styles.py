"""The same flow in three styles: what an order costs in each, in one run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from services.demo.book import Book
from services.demo.promises import connect
from services.demo.summary import percentile
from stagepost.engine.flow import read_flow
from stagepost.engine.stack import Stack
from stagepost.engine.styles import STYLES
from tests.bench.book import two_lines
from tests.bench.rest import at_rest, harmless
from tests.bench.sustained import WINDOWS, check, outboxes, push
from tests.order_flow import ORDER_FLOW

RESTING = 20
"""Orders placed one by one, to see how long one takes."""
SILENCE = 1.0
BYTES = outboxes("sum(octet_length(body))")


Styles = dict[str, dict[str, float]]
"""Figures by name, by style."""


async def compare(data: Path, orders: int, seed: int, say: Callable[[str], None]) -> Styles:
    """Push the same orders through the stack in each style; the promises are checked on each.

    Of orders that all end well: in one style nobody owns the deadlines of the others.
    """
    found: Styles = {}
    for style in STYLES:
        say(f"-- {style}")
        book = _harmless(two_lines(orders, seed))
        resting = _harmless(two_lines(RESTING, seed, "rest"))
        async with Stack(
            data / "stack",
            fresh=True,
            flow=read_flow(style, only=ORDER_FLOW),
            timers=WINDOWS,
            say=say,
        ) as stack:
            times = sorted(await at_rest(stack, resting, SILENCE))
            before = await _bytes(stack)
            pushed = await push(stack, book, say)
            sent = await _bytes(stack) - before
            await check(stack, [resting, book], say)
        found[style] = {
            "orders_per_second": round(pushed.run.orders_per_second, 1),
            "p50_ms_at_rest": round(percentile(times, 50), 1),
            "messages_per_order": round(pushed.messages / orders, 2),
            "bytes_per_order": round(sent / orders),
            "cpu_ms_per_order": round(sum(pushed.cpu_ms.values()), 2),
        }
    return found


def _harmless(book: Book) -> Book:
    return replace(book, orders=tuple(map(harmless, book.orders))).with_enough_stock()


async def _bytes(stack: Stack) -> int:
    connection = await connect(stack.audit_dsn)
    try:
        return int(await connection.fetchval(BYTES) or 0)
    finally:
        await connection.close()


def show_styles(styles: Styles, console: Console) -> None:
    """Print them for a person."""
    heads = ("", "orders/s", "ms at rest", "messages", "bytes", "ms of CPU")
    table = Table(*heads, box=None, pad_edge=False)
    for style, figures in styles.items():
        table.add_row(style, *(f"{figure:,}" for figure in figures.values()))
    console.print(table, "The last four are of one order; bytes are those of the messages' bodies.")
