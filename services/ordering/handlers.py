"""What ordering does about each message."""

from __future__ import annotations

from collections.abc import Mapping

from contracts import ordering
from contracts.values import MAX_AMOUNT, Line
from services.ordering.order import Cancellation, Order, Status
from services.ordering.requests import (
    CancellationAccepted,
    OrderAccepted,
    PlaceOrder,
    RequestCancellation,
)
from stagepost.errors import BadMessage, Conflict, NotFound, Unprocessable
from stagepost.handler import Decision, Handler, Load
from stagepost.messages import Answer, Message


def place_order(request: PlaceOrder, load: Load) -> Decision:
    """Take the order; the same order once more is the same order."""
    order = load.one(Order, Order.stream(request.order_id))
    if order is not None:
        return _placed_before(order, request)
    amount = sum(line.amount for line in request.lines)
    if amount > MAX_AMOUNT:
        raise Unprocessable(
            f"the order comes to {amount} minor units, {MAX_AMOUNT} is the most that we take",
            pointer="/lines",
        )
    order = Order(
        order_id=request.order_id,
        customer_id=request.customer_id,
        lines=request.lines,
        amount=amount,
        currency=request.currency,
        payment_token=request.payment_token,
        ship_to=request.ship_to,
    )
    placed = ordering.OrderPlaced(
        order_id=order.order_id,
        customer_id=order.customer_id,
        lines=tuple(Line(sku=line.sku, quantity=line.quantity) for line in order.lines),
        amount=order.amount,
        currency=order.currency,
        payment_token=order.payment_token,
        ship_to=order.ship_to,
    )
    return Decision((order,), (placed,), OrderAccepted(order_id=order.order_id))


def request_cancellation(request: RequestCancellation, load: Load) -> Decision:
    """Pass the customer's wish on to whoever owns the outcome, once."""
    order = load.one(Order, Order.stream(request.order_id))
    if order is None:
        raise NotFound(f"there is no order {request.order_id!r}")
    if order.status is not Status.PLACED:
        raise Conflict(f"order {order.order_id!r} has ended: it is {order.status}")
    accepted = CancellationAccepted(order_id=order.order_id)
    if order.cancellation is Cancellation.REQUESTED:
        return Decision(answer=accepted)
    order.request_cancellation()
    requested = ordering.OrderCancellationRequested(order_id=order.order_id)
    return Decision((order,), (requested,), accepted)


def confirm_order(command: ordering.ConfirmOrder, load: Load) -> Decision:
    """End the order well, unless it has ended."""
    order = order_of(command, load)
    if order.status is not Status.PLACED:
        return Decision(sends=(_end(order, command),))
    # A wish that crossed this command on its way came too late as well.
    requested = order.cancellation is Cancellation.REQUESTED
    order.confirm(cancellation_too_late=command.cancellation_too_late or requested)
    return Decision((order,), (_end(order, command),))


def reject_order(command: ordering.RejectOrder, load: Load) -> Decision:
    """End the order badly, unless it has ended."""
    order = order_of(command, load)
    if order.status is not Status.PLACED:
        return Decision(sends=(_end(order, command),))
    order.reject(reason=command.reason)
    return Decision((order,), (_end(order, command),))


def order_of(message: Message, load: Load) -> Order:
    """Return the order that a message is about.

    Raises:
        BadMessage: it was never placed.
    """
    order = load.one(Order, Order.stream(message.key))
    if order is None:
        raise BadMessage(f"{message.TYPE} names order {message.key!r}, which was never placed")
    return order


def _placed_before(order: Order, request: PlaceOrder) -> Decision:
    if any(getattr(order, name) != asked for name, asked in request):
        raise Conflict(
            f"there is an order {order.order_id!r} already, with other content: "
            "choose another order_id, or leave it out",
            pointer="/order_id",
        )
    return Decision(answer=OrderAccepted(order_id=order.order_id))


def _end(order: Order, command: ordering.ConfirmOrder | ordering.RejectOrder) -> Answer:
    """Return how the order ended, to whoever wanted it to end."""
    asked_by = {"caller": command.caller, "reference": command.reference}
    about = {"order_id": order.order_id, "customer_id": order.customer_id}
    if order.status is Status.CONFIRMED:
        return ordering.OrderConfirmed(
            **asked_by, **about, amount=order.amount, currency=order.currency
        )
    return ordering.OrderRejected(**asked_by, **about, reason=order.reason or "rejected")


HANDLERS: Mapping[type[Message], Handler] = {
    PlaceOrder: place_order,
    RequestCancellation: request_cancellation,
    ordering.ConfirmOrder: confirm_order,
    ordering.RejectOrder: reject_order,
}
