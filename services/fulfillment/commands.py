"""What fulfillment asks of the others, in the name of an order."""

from __future__ import annotations

from typing import TypedDict

from contracts import inventory, ordering, payments, shipping
from services.fulfillment.states import (
    AwaitingBoth,
    AwaitingPayment,
    AwaitingStock,
    Confirming,
    Fetching,
    Rejecting,
    Shipping,
    ShippingCancelled,
    UndoingBoth,
    UndoingPayment,
    UndoingStock,
)
from stagepost.messages import Command
from stagepost.process import State

CALLER = "fulfillment"


class Asking(TypedDict):
    """Who asks, and under which reference: it comes back in the answer."""

    caller: str
    reference: str
    order_id: str


def asking(order: ordering.OrderPlaced) -> Asking:
    return {"caller": CALLER, "reference": order.order_id, "order_id": order.order_id}


def retrieve_payment(order: ordering.OrderPlaced) -> payments.RetrievePayment:
    return payments.RetrievePayment(
        **asking(order),
        amount=order.amount,
        currency=order.currency,
        payment_token=order.payment_token,
    )


def refund_payment(order: ordering.OrderPlaced) -> payments.RefundPayment:
    return payments.RefundPayment(**asking(order))


def reserve_stock(order: ordering.OrderPlaced) -> inventory.ReserveStock:
    return inventory.ReserveStock(**asking(order), lines=order.lines)


def fetch_goods(order: ordering.OrderPlaced) -> inventory.FetchGoods:
    return inventory.FetchGoods(**asking(order))


def release_stock(order: ordering.OrderPlaced) -> inventory.ReleaseStock:
    return inventory.ReleaseStock(**asking(order))


def ship_goods(order: ordering.OrderPlaced) -> shipping.ShipGoods:
    return shipping.ShipGoods(**asking(order), lines=order.lines, ship_to=order.ship_to)


def confirm_order(order: ordering.OrderPlaced, *, too_late: bool) -> ordering.ConfirmOrder:
    return ordering.ConfirmOrder(**asking(order), cancellation_too_late=too_late)


def reject_order(order: ordering.OrderPlaced, reason: str) -> ordering.RejectOrder:
    return ordering.RejectOrder(**asking(order), reason=reason)


def unanswered(state: State) -> tuple[Command, ...]:
    """Return what was asked on the way to a state and is waited for in it."""
    match state:
        case AwaitingBoth(order):
            return retrieve_payment(order), reserve_stock(order)
        case AwaitingPayment(order):
            return (retrieve_payment(order),)
        case AwaitingStock(order):
            return (reserve_stock(order),)
        case Fetching(order):
            return (fetch_goods(order),)
        case Shipping(order) | ShippingCancelled(order):
            return (ship_goods(order),)
        case Confirming(order, too_late):
            return (confirm_order(order, too_late=too_late),)
        case UndoingBoth(order):
            return refund_payment(order), release_stock(order)
        case UndoingPayment(order):
            return (refund_payment(order),)
        case UndoingStock(order):
            return (release_stock(order),)
        case Rejecting(order, reason):
            return (reject_order(order, reason),)
        case _:
            return ()
