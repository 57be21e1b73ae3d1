"""The journeys that are the same in every style: what customers do, what is done to services."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from services.demo.promises import PROMISES, Audit, Finding, connect
from services.demo.watch import Watch
from stagepost.engine.flow import Flow
from stagepost.engine.stack import Stack
from tests.journeys.customer import Customer

DEADLINE, SLOW = 2.5, 5.0
"""Seconds that an order waits for its answers, and that a slow provider or carrier takes."""

IN_VAIN = 2 * DEADLINE
"""Seconds after which a customer gives up an order whose deadline nobody owns."""

AWAY = DEADLINE + 1
"""Seconds for which a service that was killed does not come back: longer than an order waits."""

SHELF, WANTED = 5, 3
"""Units of each journey's own goods that are there, and that it orders."""

OWNED = "somebody owns the deadline: an order ends in time, whoever does not answer"
KNOWN = "somebody knows where an order stands"
UNDONE = "a rejection is told only when all is undone"


@dataclass(frozen=True)
class End:
    """How an order ended, as its customer is told."""

    status: str
    reason: str | None = None
    cancellation: str = "none"


@dataclass(frozen=True)
class Ended:
    """An order at its end, the provider's word on its money, and the shelf its goods were on."""

    end: End
    amount: int
    charges: int
    kept: int
    shelf: Mapping[str, int]


@dataclass
class Seen:
    """What was seen in one style; `wrong` are journeys that came to no end, and why."""

    style: str
    ended: dict[str, Ended] = field(default_factory=dict)
    wrong: dict[str, BaseException] = field(default_factory=dict)
    gives: dict[str, bool] = field(default_factory=dict)
    commands_over: set[str] = field(default_factory=set)
    under_way: dict[str, int] = field(default_factory=dict)
    promises: dict[str, Finding] = field(default_factory=dict)


class Journeys:
    """Goes every journey on one stack; what it sees is in `seen`."""

    def __init__(self, customer: Customer, flow: Flow) -> None:
        self._customer = customer
        self._stack: Stack = customer.stack
        self._flow = flow
        self._orders: dict[str, str] = {}
        self.seen = Seen(flow.style)

    async def go(self) -> None:
        """Those that disturb nobody go together, then the one in which services are down."""
        await self._together(
            {
                "all goes well": self._simple(),
                "the card is declined": self._simple(payment_token="tok_declined"),
                "out of stock": self._simple(quantity=SHELF + 1),
                "the carrier refuses": self._simple(ship_to="REFUSED lane 1"),
                "cancelled before payment": self._cancelled_early,
                "cancelled after the parcel left": self._cancelled_late,
                "the provider answers late": self._simple(payment_token="tok_slow"),
                "the provider's answer is lost": self._simple(payment_token="tok_lost_answer"),
                "the provider never answers": self._never_answered,
            }
        )
        refused, late = "the carrier refuses while payments is down", "payments is down for long"
        await self._together({refused: lambda name: self._services_down(name, late)})
        await self._judge()

    async def _together(self, journeys: Mapping[str, Callable[[str], Awaitable[None]]]) -> None:
        went = await asyncio.gather(
            *(go(name) for name, go in journeys.items()), return_exceptions=True
        )
        wrong = zip(journeys, went, strict=True)
        self.seen.wrong |= {name: error for name, error in wrong if error is not None}

    async def _order(self, name: str, quantity: int = WANTED, **more: Any) -> str:
        await self._customer.receive(_sku(name), SHELF)
        order_id = await self._customer.order(_sku(name), quantity, **more)
        self._orders[name] = order_id
        return order_id

    def _simple(self, **more: Any) -> Callable[[str], Awaitable[None]]:
        """Nothing is done but to order."""

        async def go(name: str) -> None:
            order_id = await self._order(name, **more)
            await self._customer.until_ended(order_id)

        return go

    async def _cancelled_early(self, name: str) -> None:
        order_id = await self._order(name, payment_token="tok_slow")
        await self._until_known("payments", f"/payments/{order_id}")
        assert await self._customer.cancel(order_id) == 202
        await self._customer.until_ended(order_id)

    async def _cancelled_late(self, name: str) -> None:
        order_id = await self._order(name, ship_to="SLOW lane 1")
        await self._until_known("shipping", f"/shipments/{order_id}")
        assert await self._customer.cancel(order_id) == 202
        await self._customer.until_ended(order_id)
        assert await self._customer.cancel(order_id) == 409

    async def _never_answered(self, name: str) -> None:
        """Wait for the end; where nobody brings it about, the customer does."""
        order_id = await self._order(name, payment_token="tok_down")
        await asyncio.sleep(IN_VAIN)
        order = await self._customer.see("ordering", f"/orders/{order_id}")
        self.seen.gives[OWNED] = order["status"] != "placed"
        if not self.seen.gives[OWNED]:
            assert await self._customer.cancel(order_id) == 202
            await self._customer.until_ended(order_id)

    async def _services_down(self, refused: str, late: str) -> None:
        """Stop shipping in the middle of an order, then kill payments and keep it from coming back.

        So the first is refused by the carrier while nobody can give its money back; the second
        waits for its payment for longer than orders wait.
        """
        with _stopped(self._stack.pid("shipping")):
            first = await self._order(refused, ship_to="REFUSED lane 1")
            await self._until_fetched(refused)
            async with self._killed("payments"):
                second = await self._order(late)
                os.kill(self._stack.pid("shipping"), signal.SIGCONT)
                await asyncio.sleep(AWAY)
                order = await self._customer.see("ordering", f"/orders/{first}")
                self.seen.gives[UNDONE] = order["status"] == "placed"
                assert await self._kept(first) == order["amount"]
        for order_id in (first, second):
            await self._customer.until_ended(order_id)

    @asynccontextmanager
    async def _killed(self, service: str) -> AsyncIterator[None]:
        """Kill a service, and stop its next process as soon as it is started, for this long."""
        before = self._stack.pid(service)
        self._stack.kill(service)
        async with asyncio.timeout(10):
            while (pid := self._stack.pid(service)) == before:
                await asyncio.sleep(0.01)
        with _stopped(pid):
            yield

    async def _until_known(self, service: str, path: str) -> None:
        async with asyncio.timeout(30):
            while not await self._customer.see(service, path):
                await asyncio.sleep(0.01)

    async def _until_fetched(self, name: str) -> None:
        """Wait until the goods are off the shelf: so they are paid."""
        async with asyncio.timeout(30):
            while not (await self._customer.stock(_sku(name)))["gone"]:
                await asyncio.sleep(0.01)

    async def _judge(self) -> None:
        """Wait until nothing is under way, then look at everything."""
        connection = await connect(self._stack.audit_dsn)
        audit = Audit(connection, self._flow, self._orders.values())
        await Watch(audit, print, asyncio.Semaphore()).until_settled()
        self.seen.under_way = {k: n for k, n in (await audit.row("under_way")).items() if n}
        self.seen.promises = {promise: await audit.check(promise) for promise in PROMISES}
        sent = await connection.fetch("SELECT channel FROM fulfillment.outbox WHERE kind='command'")
        self.seen.commands_over = {row["channel"] for row in sent}
        await connection.close()
        for name, order_id in self._orders.items():
            self.seen.ended[name] = await self._ended(name, order_id)
        self.seen.gives[KNOWN] = await self._is_known(self._orders["all goes well"])

    async def _ended(self, name: str, order_id: str) -> Ended:
        order = await self._customer.see("ordering", f"/orders/{order_id}")
        entries = await self._entries(order_id)
        return Ended(
            End(order["status"], order["reason"], order["cancellation"]),
            order["amount"],
            sum(entry["kind"] == "charge" for entry in entries),
            sum(entry["amount"] for entry in entries),
            await self._customer.stock(_sku(name)),
        )

    async def _kept(self, order_id: str) -> int:
        return sum(entry["amount"] for entry in await self._entries(order_id))

    async def _entries(self, order_id: str) -> list[dict[str, Any]]:
        ledger = await self._customer.see("outside", "/provider/ledger?limit=500")
        return [entry for entry in ledger["items"] if entry["order_id"] == order_id]

    async def _is_known(self, order_id: str) -> bool:
        if "fulfillment" not in self._stack.urls:
            return False
        process = await self._customer.see("fulfillment", f"/processes/{order_id}")
        return process is not None and process["state"] == "Confirmed"


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _sku(name: str) -> str:
    """Every journey has goods of its own."""
    return name.replace(" ", "-").replace("'", "")
