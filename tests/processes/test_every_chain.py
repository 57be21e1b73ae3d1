"""Every story that an order can have where nobody commands, walked to its end.

Each event sooner or later than any other of another source, or twice; the charge taken and not
told; the customer at any point. See `chain.py` for what can happen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from contracts import inventory, payments, shipping
from services.inventory.reservation import Reservation
from services.inventory.reservation import Status as Held
from services.inventory.stock import StockItem
from services.ordering.order import Cancellation, Order, Status
from services.payments.payment import Payment
from services.payments.payment import Status as Paid
from services.shipping.parcel import Parcel
from services.shipping.parcel import Status as Sent
from stagepost.handler import Handler
from stagepost.messages import Message, Request
from tests.processes.chain import Budget, Chain, Faults, World
from tests.processes.chain_faults import FAULTS, MINE
from tests.processes.parties import (
    AMOUNT,
    ENOUGH,
    ORDER,
    ORDER_ID,
    TOO_LITTLE,
    visit,
)

EVERYTHING = Budget(cancels=1, repeats=2)


@dataclass(frozen=True)
class Explored:
    """All joint states. There is no end of them where one says the same again and again."""

    chain: Chain
    worlds: Sequence[World]

    @property
    def at_rest(self) -> list[World]:
        return [world for world in self.worlds if self.chain.is_at_rest(world)]


def explore(
    faults: Faults | None = None,
    budget: Budget = EVERYTHING,
    lost: frozenset[type[Message]] = frozenset(),
) -> Explored:
    """Visit every joint state there is, breadth first, with enough stock and with too little."""
    chain = Chain(faults or {}, frozenset(message.TYPE for message in lost))
    starts = [chain.start(ORDER, stock, budget) for stock in (ENOUGH, TOO_LITTLE)]
    worlds, _ = visit(starts, chain.steps)
    return Explored(chain, worlds)


def wrong(explored: Explored) -> set[str]:
    """Return what is wrong anywhere."""
    chain = explored.chain
    found = {f"{service} acts on a repetition" for service in not_idempotent(chain)}
    # What is wrong in a joint state does not depend on what is under way in it.
    alike = {(world.minds, world.outside): world for world in explored.worlds}
    for world in alike.values():
        found.update(wrong_in(Seen(chain, world)))
    alike_at_rest = {(w.minds, w.outside, w.in_time): w for w in explored.at_rest}
    for world in alike_at_rest.values():
        found.update(wrong_at_rest(Seen(chain, world), in_time=world.in_time))
    return found


class Seen:
    """What everybody has, in one joint state."""

    def __init__(self, chain: Chain, world: World) -> None:
        self.outside = chain.outsides[world.outside]
        order = chain.find(world, "ordering", Order, Order.stream(ORDER_ID))
        stock = chain.find(world, "inventory", StockItem, StockItem.stream("red-chair"))
        assert order is not None
        assert stock is not None
        self.order, self.stock = order, stock
        self.payment = chain.find(world, "payments", Payment, Payment.stream(*MINE))
        self.goods = chain.find(world, "inventory", Reservation, Reservation.stream(*MINE))
        self.parcel = chain.find(world, "shipping", Parcel, Parcel.stream(*MINE))

    @property
    def reason(self) -> str | None:
        """Why the order must have been rejected: its customer, or whoever refused."""
        if self.order.cancellation is Cancellation.DONE:
            return "cancelled by the customer"
        if self.payment and self.payment.status is Paid.DECLINED:
            return "no funds"
        if self.goods and self.goods.status is Held.REJECTED:
            return "stock: out of stock"
        if self.parcel and self.parcel.status is Sent.REFUSED:
            return "shipment: refused"
        return None


def wrong_in(seen: Seen) -> Iterator[str]:
    """Say what may not be so at any time: an order is rejected before its undo, and only that."""
    if seen.outside.parcels > 1:
        yield "shipped twice"
    if seen.order.status is Status.REJECTED and seen.outside.parcels:
        yield "rejected, and shipped"
    if seen.order.status is Status.CONFIRMED:
        if seen.outside.charged != AMOUNT:
            yield "confirmed, and not paid exactly"
        if (seen.stock.reserved, seen.stock.gone) != (0, 2):
            yield "confirmed, and the goods are not gone"
        if seen.outside.parcels != 1:
            yield "confirmed, and not shipped once"


def wrong_at_rest(seen: Seen, *, in_time: bool) -> Iterator[str]:
    """Say what may not be so when nothing is under way any more."""
    order, payment = seen.order, seen.payment
    if order.status is Status.PLACED:
        yield "never ends"
    if order.status is Status.REJECTED:
        if seen.outside.charged:
            yield "rejected, and money is held"
        if seen.stock.reserved or seen.stock.gone:
            yield "rejected, and stock is held"
        if order.reason != seen.reason:
            yield "rejected, and the reason is another"
    if order.status is Status.CONFIRMED and order.cancellation is Cancellation.REQUESTED:
        yield "confirmed, and the customer does not know that the cancellation came too late"
    if order.status is Status.CONFIRMED and in_time:
        yield "cancelled in time, and confirmed"
    if (payment is not None and payment.status is Paid.RECEIVED) != bool(seen.outside.charged):
        yield "payments and the provider do not agree"


def not_idempotent(chain: Chain) -> set[str]:
    """Return the services that do something when they hear the same once more."""
    return {
        service
        for (service, _, message), (mind, _) in [*chain.decisions.items()]
        if not isinstance(chain.messages[message], Request)
        and chain.hear(service, mind, message) != (mind, ())
    }


@pytest.fixture(scope="module")
def everything() -> Explored:
    return explore()


def test_no_story_ends_badly(everything: Explored, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{len(everything.worlds):,} joint states of an order")  # noqa: T201
    assert wrong(everything) == set()


def test_every_end_is_part_of_some_story(everything: Explored) -> None:
    ends = {
        (seen.order.status, seen.order.cancellation, seen.order.reason)
        for world in everything.at_rest
        for seen in [Seen(everything.chain, world)]
    }
    assert ends == {
        (Status.CONFIRMED, Cancellation.NONE, None),
        (Status.CONFIRMED, Cancellation.TOO_LATE, None),
        (Status.REJECTED, Cancellation.DONE, "cancelled by the customer"),
        (Status.REJECTED, Cancellation.NONE, "no funds"),
        (Status.REJECTED, Cancellation.NONE, "stock: out of stock"),
        (Status.REJECTED, Cancellation.NONE, "shipment: refused"),
    }


# What this style cannot give.


def test_an_order_can_be_rejected_before_its_money_and_goods_are_back(everything: Explored) -> None:
    seen = [Seen(everything.chain, world) for world in everything.worlds]
    rejected = [s for s in seen if s.order.status is Status.REJECTED]

    assert any(s.outside.charged for s in rejected)
    assert any(s.stock.gone for s in rejected)


@pytest.mark.parametrize(
    "lost", [payments.PaymentReceived, inventory.GoodsFetched, shipping.GoodsShipped]
)
def test_an_order_whose_next_event_never_comes_waits_for_ever(lost: type[Message]) -> None:
    assert "never ends" in wrong(explore(budget=Budget(), lost=frozenset({lost})))


@pytest.mark.parametrize(
    ("service", "heard", "fault", "found"),
    FAULTS,
    ids=[f"{service} {heard.__name__} {fault.__name__}" for service, heard, fault, _ in FAULTS],
)
def test_a_planted_fault_is_found(
    service: str, heard: type[Message], fault: Handler, found: str
) -> None:
    assert found in wrong(explore({service: {heard: fault}}))
