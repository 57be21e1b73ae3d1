"""What ordering can be asked, and what it tells."""

from __future__ import annotations

from pydantic import Field

from contracts.values import Address, Amount, Currency, CustomerId, Lines, OrderId, Reason, Token
from stagepost.messages import Answer, Command, Event

BY_CUSTOMER = "cancelled by the customer"
"""The reason of whoever refuses because of an `OrderCancellationRequested`."""

ENDS_ONCE = "an order ends once: whatever is asked, the answer is how it ended"


class OrderPlaced(Event):
    """A customer ordered; whoever owns the outcome of orders goes on from here."""

    order_id: OrderId
    customer_id: CustomerId
    lines: Lines
    amount: Amount
    currency: Currency
    payment_token: Token
    ship_to: Address


class OrderCancellationRequested(Event):
    """The customer wants the order no more; it may be too late."""

    order_id: OrderId


class ConfirmOrder(Command):
    """The order is paid and on its way.

    `cancellation_too_late`: the wish to cancel came, but the parcel had left.
    """

    NEVER_REFUSED = ENDS_ONCE
    order_id: OrderId
    cancellation_too_late: bool = Field(default=False, examples=[False])


class RejectOrder(Command):
    """The order cannot be fulfilled; whatever was done for it is undone."""

    NEVER_REFUSED = ENDS_ONCE
    order_id: OrderId
    reason: Reason


class OrderConfirmed(Answer, to=ConfirmOrder, also=(RejectOrder,)):
    """The order ended well."""

    order_id: OrderId
    customer_id: CustomerId
    amount: Amount
    currency: Currency


class OrderRejected(Answer, to=RejectOrder, also=(ConfirmOrder,)):
    """The order ended without goods; whatever was charged for it is given back."""

    order_id: OrderId
    customer_id: CustomerId
    reason: Reason


def of_order(order_id: str) -> dict[str, str]:
    """Return what an answer carries that no command asked for: it is ordering's, about an order."""
    return {"caller": OrderPlaced.OWNER, "reference": order_id, "order_id": order_id}
