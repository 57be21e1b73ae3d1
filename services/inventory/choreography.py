"""What inventory does where nobody commands it: it reacts to what the others tell.

It fetches the goods of an order that is placed and paid, whichever it hears of first. What is late
or repeated is ignored.
"""

from __future__ import annotations

from collections.abc import Mapping

from contracts import inventory, ordering, payments, shipping
from contracts.values import Lines
from services.inventory.handlers import (
    declare_sku,
    hold,
    outcome,
    receive_stock,
    release_stock,
    take,
)
from services.inventory.heard import HeardOrder
from services.inventory.requests import DeclareSku, ReceiveStock
from services.inventory.reservation import Reservation, Status
from stagepost.handler import Decision, Handler, Load
from stagepost.messages import Message


def order_placed(event: ordering.OrderPlaced, load: Load) -> Decision:
    """Remember what is wanted; if it is paid already, fetch it."""
    order = _heard_of(event, load)
    if order.lines:
        return Decision()
    is_wanted = order.is_paid and not order.is_cancelled
    done = _fetch(event.order_id, event.lines, load) if is_wanted else Decision()
    order.place(lines=event.lines)
    return Decision((order, *done.changed), done.sends)


def payment_received(event: payments.PaymentReceived, load: Load) -> Decision:
    """Fetch the goods, as soon as it is known which; refuse where the order was cancelled."""
    order = _heard_of(event, load)
    if order.is_paid:
        return Decision()
    if order.is_cancelled:
        done = Decision(sends=(_rejected(event.order_id),))
    else:
        done = _fetch(event.order_id, order.lines, load) if order.lines else Decision()
    order.pay()
    return Decision((order, *done.changed), done.sends)


def cancellation_requested(event: ordering.OrderCancellationRequested, load: Load) -> Decision:
    """Remember to refuse; once the order is paid it is for shipping to do so."""
    order = _heard_of(event, load)
    if order.is_paid or order.is_cancelled:
        return Decision()
    order.cancel()
    return Decision((order,))


def shipment_refused(event: shipping.ShipmentRefused, load: Load) -> Decision:
    """Put the goods back; where our database was set back, remember to fetch none."""
    command = inventory.ReleaseStock(**ordering.of_order(event.order_id))
    reservation = load.one(Reservation, Reservation.stream(command.caller, command.reference))
    if reservation is not None and reservation.status is Status.FETCHED:
        return release_stock(command, load)
    order = _heard_of(event, load)
    if reservation is not None or order.is_cancelled:
        return Decision()
    order.cancel()
    return Decision((order,))


def _heard_of(event: Message, load: Load) -> HeardOrder:
    order = load.one(HeardOrder, HeardOrder.stream(event.key))
    return order or HeardOrder(order_id=event.key)


def _fetch(order_id: str, lines: Lines, load: Load) -> Decision:
    """Take all of the goods off the shelf, or none."""
    address = ordering.of_order(order_id)
    reservation, items = hold(inventory.ReserveStock(**address, lines=lines), load)
    if reservation.status is Status.REJECTED:
        return Decision((reservation,), (outcome(reservation),))
    take(reservation, items)
    return Decision((reservation, *items), (inventory.GoodsFetched(**address),))


def _rejected(order_id: str) -> inventory.StockRejected:
    return inventory.StockRejected(**ordering.of_order(order_id), reason=ordering.BY_CUSTOMER)


HANDLERS: Mapping[type[Message], Handler] = {
    DeclareSku: declare_sku,
    ReceiveStock: receive_stock,
    ordering.OrderPlaced: order_placed,
    payments.PaymentReceived: payment_received,
    ordering.OrderCancellationRequested: cancellation_requested,
    shipping.ShipmentRefused: shipment_refused,
}
