"""What the probe's five services say to each other: eight messages an order, the happy path."""

from __future__ import annotations

from uuid import UUID, uuid4

from pydantic import BaseModel


class Line(BaseModel):
    sku: str
    quantity: int


LINES = [Line(sku="red-chair", quantity=2)]


class About(BaseModel):
    """A message about an order."""

    order_id: UUID


class OrderPlaced(About):
    amount: int
    currency: str
    customer: str
    lines: list[Line]


class RetrievePayment(About):
    amount: int
    currency: str


class PaymentReceived(About):
    payment_id: UUID


class FetchGoods(About):
    lines: list[Line]


class GoodsFetched(About):
    pick: str


class ShipGoods(About):
    address: str


class GoodsShipped(About):
    tracking: str


class OrderFulfilled(About):
    pass


WORDS: dict[str, type[About]] = {
    word.__name__: word
    for word in (
        OrderPlaced,
        RetrievePayment,
        PaymentReceived,
        FetchGoods,
        GoodsFetched,
        ShipGoods,
        GoodsShipped,
        OrderFulfilled,
    )
}

READS = {
    "payments": ["fulfillment.command.RetrievePayment"],
    "inventory": ["fulfillment.command.FetchGoods"],
    "shipping": ["fulfillment.command.ShipGoods"],
    "fulfillment": [
        "ordering.event.OrderPlaced",
        "payments.event.PaymentReceived",
        "inventory.event.GoodsFetched",
        "shipping.event.GoodsShipped",
    ],
    "ordering": ["fulfillment.event.OrderFulfilled"],
}
"""Which subjects each service reads."""


def place(order_id: UUID) -> OrderPlaced:
    return OrderPlaced(order_id=order_id, amount=100, currency="EUR", customer="c", lines=LINES)


def react(message: About) -> tuple[str, About] | None:
    """Return what follows on a message, and whether that is a command or an event."""
    order = message.order_id
    match message:
        case OrderPlaced(amount=amount, currency=currency):
            return "command", RetrievePayment(order_id=order, amount=amount, currency=currency)
        case RetrievePayment():
            return "event", PaymentReceived(order_id=order, payment_id=uuid4())
        case PaymentReceived():
            return "command", FetchGoods(order_id=order, lines=LINES)
        case FetchGoods():
            return "event", GoodsFetched(order_id=order, pick="p")
        case GoodsFetched():
            return "command", ShipGoods(order_id=order, address="x")
        case ShipGoods():
            return "event", GoodsShipped(order_id=order, tracking="t")
        case GoodsShipped():
            return "event", OrderFulfilled(order_id=order)
    return None
