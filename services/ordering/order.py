"""The order: placed once, then confirmed or rejected once."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from contracts.values import Quantity, Sku
from stagepost.aggregate import Aggregate, DomainEvent, FirstEvent, event, stream_id

MAX_UNIT_PRICE = 10**12

UnitPrice = Annotated[Decimal, Field(ge=0, le=MAX_UNIT_PRICE, allow_inf_nan=False)]
"""Minor units for one unit; it may have decimals, a line's amount has none."""


class Status(StrEnum):
    """Where an order stands."""

    PLACED = "placed"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"


class Cancellation(StrEnum):
    """What became of the customer's wish to cancel."""

    NONE = "none"
    REQUESTED = "requested"
    TOO_LATE = "too_late"
    DONE = "done"


class OrderLine(BaseModel):
    """So many of one thing, at this price each."""

    model_config = ConfigDict(frozen=True)

    sku: Sku
    quantity: Quantity
    unit_price: UnitPrice

    @property
    def amount(self) -> int:
        """What the line costs: rounded half-even to a whole minor unit."""
        exact = self.unit_price * self.quantity
        return int(exact.to_integral_value(rounding=ROUND_HALF_EVEN))


class Order(Aggregate):
    """What a customer ordered, and how it ended."""

    TOPIC = "ordering.Order"

    class Placed(FirstEvent):
        """A customer ordered."""

        TOPIC = "ordering.Order.Placed"
        order_id: str
        customer_id: str
        lines: tuple[OrderLine, ...]
        amount: int
        currency: str
        payment_token: str
        ship_to: str

    class CancellationRequested(DomainEvent):
        """The customer wants the order no more; whether it is too late is for others to say."""

        TOPIC = "ordering.Order.CancellationRequested"

    class Confirmed(DomainEvent):
        """The order is paid and on its way; a wish to cancel it may have come too late."""

        TOPIC = "ordering.Order.Confirmed"
        cancellation_too_late: bool

    class Rejected(DomainEvent):
        """The order ended without goods; whatever was charged for it is given back."""

        TOPIC = "ordering.Order.Rejected"
        reason: str

    @staticmethod
    def stream(order_id: str) -> str:
        return f"order/{order_id}"

    @staticmethod
    def create_id(order_id: str) -> UUID:
        return stream_id(Order.stream(order_id))

    @event(Placed)
    def __init__(
        self,
        *,
        order_id: str,
        customer_id: str,
        lines: tuple[OrderLine, ...],
        amount: int,
        currency: str,
        payment_token: str,
        ship_to: str,
    ) -> None:
        self.order_id = order_id
        self.customer_id = customer_id
        self.lines = lines
        self.amount = amount
        self.currency = currency
        self.payment_token = payment_token
        self.ship_to = ship_to
        self.status = Status.PLACED
        self.reason: str | None = None
        self.cancellation = Cancellation.NONE

    @event(CancellationRequested)
    def request_cancellation(self) -> None:
        self.cancellation = Cancellation.REQUESTED

    @event(Confirmed)
    def confirm(self, *, cancellation_too_late: bool) -> None:
        self.status = Status.CONFIRMED
        if cancellation_too_late:
            self.cancellation = Cancellation.TOO_LATE

    @event(Rejected)
    def reject(self, *, reason: str) -> None:
        self.status = Status.REJECTED
        self.reason = reason
        if self.cancellation is Cancellation.REQUESTED:
            self.cancellation = Cancellation.DONE
