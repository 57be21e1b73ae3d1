"""What ordering does where nobody commands it: it reacts to what the others tell.

An order ends with the parcel that left, or with the first that refuses. Whether what was done for
it is undone by then, ordering does not know. What is late or repeated is ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from contracts import inventory, ordering, payments, shipping
from contracts.values import because
from services.ordering.handlers import (
    confirm_order,
    order_of,
    place_order,
    reject_order,
    request_cancellation,
)
from services.ordering.order import Cancellation, Order, Status
from services.ordering.requests import PlaceOrder, RequestCancellation
from stagepost.handler import Decision, Handler, Load
from stagepost.messages import Message

Refused: TypeAlias = payments.PaymentDeclined | inventory.StockRejected | shipping.ShipmentRefused


def shipped(event: shipping.GoodsShipped, load: Load) -> Decision:
    """End the order well; a wish to cancel it came too late."""
    order = order_of(event, load)
    if order.status is not Status.PLACED:
        return Decision()
    return confirm_order(ordering.ConfirmOrder(**ordering.of_order(event.order_id)), load)


def refused(event: Refused, load: Load) -> Decision:
    """End the order badly."""
    order = order_of(event, load)
    if order.status is not Status.PLACED:
        return Decision()
    reason = _reason(event, order)
    command = ordering.RejectOrder(**ordering.of_order(event.order_id), reason=reason)
    return reject_order(command, load)


def _reason(event: Refused, order: Order) -> str:
    """Say why an order ends: because of the customer's wish, wherever that came first."""
    if order.cancellation is Cancellation.REQUESTED:
        return ordering.BY_CUSTOMER
    match event:
        case payments.PaymentDeclined(reason=said):
            return said
        case inventory.StockRejected(reason=said):
            return because("stock", said)
        case shipping.ShipmentRefused(reason=said):
            return because("shipment", said)


HANDLERS: Mapping[type[Message], Handler] = {
    PlaceOrder: place_order,
    RequestCancellation: request_cancellation,
    payments.PaymentDeclined: refused,
    inventory.StockRejected: refused,
    shipping.ShipmentRefused: refused,
    shipping.GoodsShipped: shipped,
}
