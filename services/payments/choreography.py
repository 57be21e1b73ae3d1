"""What payments does where nobody commands it: it reacts to what the others tell.

An event is taken as the command that it stands for. One that is late or repeated is ignored.
"""

from __future__ import annotations

from collections.abc import Mapping

from contracts import inventory, ordering, payments, shipping
from services.payments import provider
from services.payments.handlers import (
    REFUNDED_BEFORE,
    ask_back,
    call_off,
    charged,
    refunded,
    retrieve_payment,
)
from services.payments.payment import Payment, Status
from stagepost.handler import Decision, Handler, Load
from stagepost.messages import Message


def order_placed(event: ordering.OrderPlaced, load: Load) -> Decision:
    """Have the provider charge what the order comes to."""
    payment = _payment_for(event, load)
    if payment is not None and payment.status is Status.BARRED:
        # Before our database was set back we took it.
        return ask_back(payment, (0, event.amount), REFUNDED_BEFORE)
    if payment is not None:
        return Decision()
    command = payments.RetrievePayment(
        **ordering.of_order(event.order_id),
        amount=event.amount,
        currency=event.currency,
        payment_token=event.payment_token,
    )
    return retrieve_payment(command, load)


def cancellation_requested(event: ordering.OrderCancellationRequested, load: Load) -> Decision:
    """Decline, unless the provider has decided: then it is for inventory and shipping to refuse."""
    payment = _payment_for(event, load)
    if payment is None or payment.status is not Status.REQUESTED:
        return Decision()
    return call_off(payment, ordering.BY_CUSTOMER)


def refused(event: inventory.StockRejected | shipping.ShipmentRefused, load: Load) -> Decision:
    """Give the money back: there are no goods for it.

    Others build on money that we do not know of only where our database was set back.
    """
    payment = _payment_for(event, load)
    match payment:
        case None:
            return Decision((Payment.bar(**ordering.of_order(event.order_id)),))
        case Payment(status=Status.REQUESTED):
            return call_off(payment, event.reason)
        case Payment(status=Status.RECEIVED):
            return ask_back(payment, (payment.amount,), event.reason)
        case _:
            return Decision()


def _payment_for(event: Message, load: Load) -> Payment | None:
    address = ordering.of_order(event.key)
    return load.one(Payment, Payment.stream(address["caller"], address["reference"]))


HANDLERS: Mapping[type[Message], Handler] = {
    ordering.OrderPlaced: order_placed,
    ordering.OrderCancellationRequested: cancellation_requested,
    provider.Charged: charged,
    inventory.StockRejected: refused,
    shipping.ShipmentRefused: refused,
    provider.Refunded: refunded,
}
