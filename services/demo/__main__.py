"""`python -m services.demo`: what `make demo` runs. Its options are environment variables."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from rich.console import Console

from services.demo import northwind
from services.demo.attempts import BAD_INPUT, WALLS, check_bad_input, check_walls
from services.demo.book import Book, generate
from services.demo.drive import (
    MAX_OPEN,
    Shop,
    fill_the_shelves,
    not_placed_yet,
    open_shop,
    place_serially,
    place_together,
    register_customers,
    tasks,
)
from services.demo.promises import PROMISES, Audit, Finding, connect
from services.demo.replay import SNAPSHOTS, VIEWS, check_snapshots, check_views
from services.demo.summary import Ending, Summary, show, summarize
from services.demo.watch import Watch
from stagepost.engine.flow import Flow, read_flow
from stagepost.engine.service import Service
from stagepost.engine.stack import Stack
from stagepost.engine.stack.foreground import interruptible
from stagepost.engine.stack.running import Running
from stagepost.engine.styles import ORCHESTRATED
from stagepost.errors import BadSettings, StagepostError

DATA = Path(".stagepost/demo")
WINDOWS = {"AnswersDue": 2.0, "GoodsDue": 2.0, "SlaDue": 30.0}
"""Seconds; slow cards and carriers take longer than the first two."""

WRONG, BAD_OPTIONS, INTERRUPTED = 1, 2, 130


class Options(BaseSettings):
    """The make variables of `make demo`."""

    model_config = SettingsConfigDict(env_ignore_empty=True, populate_by_name=True)

    orders: int = Field(default=300, ge=1, le=1_000_000, validation_alias="ORDERS")
    seed: int = Field(default=7, validation_alias="SEED")
    book: Path | None = Field(default=None, validation_alias="BOOK")
    stock: Literal["listed", "unlimited"] = Field(default="listed", validation_alias="STOCK")
    pace: Literal["together", "serial"] = Field(default="together", validation_alias="PACE")
    style: str = Field(default=ORCHESTRATED, validation_alias="STYLE")
    transport: str | None = Field(default=None, validation_alias="TRANSPORT")
    data: Path | None = Field(default=None, validation_alias="DATA")
    """Of a stack that runs; without it the demonstration has one of its own."""
    as_json: bool = Field(default=False, validation_alias="JSON")


def read_options() -> Options:
    """Read the options.

    Raises:
        BadSettings: names the first that is wrong.
    """
    try:
        options = Options()
    except ValidationError as error:
        fault = error.errors()[0]
        raise BadSettings(f"{fault['loc'][0]}={fault['input']}: {fault['msg']}") from None
    if options.data and not options.model_fields_set.isdisjoint(("style", "transport")):
        raise BadSettings("STYLE and TRANSPORT are for a stack of the demo's own: this one runs")
    return options


def read_book(options: Options) -> Book:
    """Read or make the order book that the options ask for.

    Raises:
        northwind.BadBook
    """
    if options.book is None:
        book = generate(options.orders, options.seed)
    else:
        book = northwind.read(options.book)
    return book.with_enough_stock() if options.stock == "unlimited" else book


@asynccontextmanager
async def open_stack(running: Running | None, flow: Flow) -> AsyncIterator[Running | Stack]:
    """Give a stack: the one that runs, else one that is made for this and ends with it."""
    if running is not None:
        yield running
        return
    async with Stack(DATA, fresh=True, flow=flow, timers=WINDOWS, say=say) as stack:
        yield stack


async def run(
    options: Options, running: Running | None, flow: Flow, book: Book
) -> tuple[Summary, str]:
    """Push a book through a stack; return what came of it, and what the checks saw."""
    async with open_stack(running, flow) as stack, open_shop(stack.urls, stack.headers) as shop:
        services = flow.services
        book = await not_placed_yet(shop, book)
        connection = await connect(stack.audit_dsn)
        try:
            accepted: dict[str, float] = {}
            before = Audit(connection, flow)
            gone_before = (await before.row("units_gone"))["units_gone"]
            started_at = await push(options, book, shop, before, accepted)
            audit = Audit(connection, flow, accepted)
            say("Checking the promises")
            promises = await check(audit, services, stack, shop)
            placed = {order.order_id for order in book.orders}
            endings = [
                Ending(accepted_at=accepted.get(row["order_id"], started_at), **row)
                for row in await audit.rows("endings")
                if row["order_id"] in placed
            ]
            units_gone = (await audit.row("units_gone"))["units_gone"] - gone_before
            unowned = (await audit.row("unowned"))["unowned"]
            summary = summarize(endings, started_at, units_gone, unowned, promises)
            return summary, await audit.window()
        finally:
            await connection.close()


async def push(
    options: Options, book: Book, shop: Shop, audit: Audit, accepted: dict[str, float]
) -> float:
    """Register the customers, fill the shelves, place the orders, wait for their ends.

    Returns when the first was placed.
    """
    say(
        f"{book.name}: {len(book.orders):,} orders of {len(book.customers):,} customers,"
        f" {sum(book.stock.values()):,} units in stock"
    )
    await register_customers(shop, book)
    await fill_the_shelves(shop, book)
    room = asyncio.Semaphore(MAX_OPEN)
    before = {**await audit.row("ended"), **await audit.row("progress")}
    watch = Watch(audit, say, room, before)
    started_at = time.time()
    async with tasks() as both:
        if options.pace == "serial":
            placing = both.create_task(place_serially(shop, book.orders, accepted))
        else:
            placing = both.create_task(place_together(shop, book.orders, accepted, room))
        if not await watch.until_ended(len(book.orders)):
            placing.cancel()
    await watch.until_settled()
    return started_at


async def check(
    audit: Audit, services: Mapping[str, Service], stack: Running | Stack, shop: Shop
) -> dict[str, Finding]:
    """Check every promise: on what is stored, and by trying."""
    findings = {promise: await audit.check(promise) for promise in PROMISES}
    findings[VIEWS] = await check_views(audit, services.values())
    findings[SNAPSHOTS] = await check_snapshots(audit, services.values())
    findings[WALLS] = await check_walls(stack, list(services), stack.names)
    findings[BAD_INPUT] = await check_bad_input(audit, shop.session, shop.urls)
    return findings


def say(line: str) -> None:
    """Tell whoever watches how it goes; standard output is for the result alone."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201  # it is for a person to read


async def main() -> int:
    """Run the demonstration; return the exit status."""
    try:
        options = read_options()
        running = Running(options.data) if options.data else None
        flow = running.flow if running else read_flow(options.style, options.transport)
        flow.links.between(flow.services)  # what is wrong with them is said before anything starts
        book = read_book(options)
    except (BadSettings, northwind.BadBook) as error:
        say(f"demo: {error}")
        return BAD_OPTIONS
    try:
        result = await interruptible(run(options, running, flow, book))
    except StagepostError as error:
        say(f"demo: {error}")
        return WRONG
    if result is None:
        return INTERRUPTED
    summary, window = result
    if options.as_json:
        print(json.dumps(asdict(summary)))  # noqa: T201  # the result
    else:
        show(summary, book.name, window, Console())
    return 0 if summary.all_is_well else WRONG


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
