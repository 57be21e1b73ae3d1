"""A shop in which whatever is confirmed is sent back, and payments is killed meanwhile.

It runs in the copy that has returns: `python -m tests.experiments.second_caller_shop STYLE FOLDER`
leaves what was seen in FOLDER/seen.json.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

from services.demo.__main__ import check
from services.demo.book import Book, generate
from services.demo.drive import (
    MAX_OPEN,
    Shop,
    fill_the_shelves,
    open_shop,
    place_together,
    register_customers,
    tasks,
)
from services.demo.promises import Audit, connect
from services.demo.watch import Watch
from stagepost.engine.database import read_statements
from stagepost.engine.flow import Flow
from stagepost.engine.stack import Stack
from stagepost.errors import StagepostError
from tests.experiments.second_caller_seen import Money, Seen

ORDERS, SEED = 80, 5
SLOW = 6.0
"""Seconds that a slow card takes: longer than a fee is waited for, shorter than two times that."""
TIMERS = {"AnswersDue": 15.0, "GoodsDue": 15.0, "SlaDue": 120.0, "FeeDue": 4.0}
CARDS = (*["tok_ok"] * 4, "tok_declined", "tok_slow", "tok_lost_answer", "tok_down")
"""What pays the fees, by turns."""
BETWEEN, KILLS = 9, 4
"""So many returns are begun between two kills of payments, where there are that many."""

LOOK = 0.1
PATIENCE = 300.0
ACCEPTED_LATER = 202
ACCEPTED, REFUSED = "Accepted", "Refused"
SQL = read_statements(Path(__file__).with_name("second_caller.sql"))


@dataclass
class Returns:
    """Sends back what is confirmed; `begun` are returns by order, `ended` how they ended."""

    shop: Shop
    cards: Iterator[str] = field(default_factory=lambda: cycle(CARDS))
    begun: set[str] = field(default_factory=set)
    ended: dict[str, str] = field(default_factory=dict)

    async def send_all_back(self, placing: asyncio.Task[None], orders: int) -> None:
        """Begin a return of every order as soon as it is confirmed; wait for the end of all."""
        over = False
        while not over or len(self.ended) < len(self.begun):
            over = placing.done() and await self._have_ended(orders)
            fresh = [order for order in await self._confirmed() if order[0] not in self.begun]
            await asyncio.gather(*(self._begin(*order) for order in fresh))
            await self.look()
            await asyncio.sleep(LOOK)

    async def _begin(self, order_id: str, customer_id: str) -> None:
        """Ask for a return, twice at once, as who clicks twice does."""
        body = {"order_id": order_id, "customer_id": customer_id, "payment_token": next(self.cards)}
        while True:
            if {*await asyncio.gather(self._ask(body), self._ask(body))} == {ACCEPTED_LATER}:
                self.begun.add(order_id)
                return
            await asyncio.sleep(LOOK)  # returns has not heard of the order yet

    async def _ask(self, body: Mapping[str, str]) -> int:
        url = f"{self.shop.urls['returns']}/returns"
        async with self.shop.session.post(url, json=body) as answer:
            return answer.status

    async def look(self) -> None:
        """See which of them have ended."""
        for order_id in self.begun - self.ended.keys():
            found = await self._get("returns", f"/returns/{order_id}")
            if found["state"] in (ACCEPTED, REFUSED):
                self.ended[order_id] = found["reason"] or ACCEPTED

    async def _confirmed(self) -> list[tuple[str, str]]:
        page = await self._get("ordering", "/orders?status=confirmed&limit=500")
        return [(order["order_id"], order["customer_id"]) for order in page["items"]]

    async def _have_ended(self, orders: int) -> bool:
        page = await self._get("ordering", "/orders?limit=500")
        ended = [order for order in page["items"] if order["status"] != "placed"]
        return len(ended) == orders

    async def _get(self, service: str, path: str) -> Any:
        async with self.shop.session.get(self.shop.urls[service] + path) as answer:
            return await answer.json()


class NoEnd(StagepostError):
    """Orders or returns did not end."""

    def __init__(self, returns: Returns) -> None:
        ended, begun = len(returns.ended), len(returns.begun)
        super().__init__(f"no end after {PATIENCE:.0f} s: {ended} of {begun} returns have ended")


async def kill_payments(
    stack: Stack, returns: Returns, sending_back: asyncio.Task[None]
) -> list[int]:
    """Kill payments again and again; return how many returns had not ended when it was dead."""
    under_way: list[int] = []
    for goal in range(BETWEEN, (KILLS + 1) * BETWEEN, BETWEEN):
        while len(returns.begun) < goal:
            if sending_back.done():
                return under_way
            await asyncio.sleep(LOOK / 10)
        pid, begun = stack.pid("payments"), set(returns.begun)
        stack.kill("payments")
        await returns.look()
        under_way.append(len(begun - returns.ended.keys()))
        while stack.pid("payments") == pid:
            await asyncio.sleep(LOOK)
    return under_way


async def keep(stack: Stack, shop: Shop, flow: Flow) -> Seen:
    """Keep the shop open until every order and every return has ended; return what was seen.

    Raises:
        NoEnd: they did not.
    """
    book = generate(ORDERS, SEED).with_enough_stock()
    connection = await connect(stack.audit_dsn)
    returns, accepted, room = Returns(shop), dict[str, float](), asyncio.Semaphore(MAX_OPEN)
    watch = Watch(Audit(connection, flow), lambda _: None, room)
    await prepare(shop, book)
    try:
        async with asyncio.timeout(PATIENCE), tasks() as together:
            placing = together.create_task(place_together(shop, book.orders, accepted, room))
            sending_back = together.create_task(returns.send_all_back(placing, ORDERS))
            killing = together.create_task(kill_payments(stack, returns, sending_back))
            await watch.until_ended(ORDERS)
    except TimeoutError:
        raise NoEnd(returns) from None
    await watch.until_settled()
    audit = Audit(connection, flow, accepted)
    found = await check(audit, flow.services, stack, shop)
    money = [Money(**row) for row in await connection.fetch(SQL["money"])]
    await connection.close()
    ends = Counter(returns.ended.values())
    return Seen(
        orders=len(accepted),
        accepted=ends.pop(ACCEPTED, 0),
        refused=dict(ends),
        killed=killing.result(),
        money=money,
        promises=len(found),
        broken={name: finding.detail for name, finding in found.items() if not finding.holds},
    )


async def prepare(shop: Shop, book: Book) -> None:
    await register_customers(shop, book)
    await fill_the_shelves(shop, book)


async def run(style: str, folder: Path) -> None:
    """Run the shop on a stack of its own, in this folder."""
    flow = Flow(style)
    env = {"STAGEPOST_OUTSIDE_SLOW_SECONDS": str(SLOW)}
    async with (
        Stack(folder, flow=flow, timers=TIMERS, env=env) as stack,
        open_shop(stack.urls, stack.headers) as shop,
    ):
        seen = await keep(stack, shop, flow)
    (folder / "seen.json").write_text(seen.model_dump_json())


def main(style: str, folder: str) -> int:
    """Run the shop; return the exit status."""
    try:
        asyncio.run(run(style, Path(folder)))
    except StagepostError as error:
        print(error, file=sys.stderr)  # noqa: T201  # it is for a person to read
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
