"""What customers ask over HTTP, and what they hear at once."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from contracts.values import Address, Currency, CustomerId, OrderId, Token
from services.ordering.order import Cancellation, OrderLine, Status
from stagepost.messages import Request


class PlaceOrder(Request):
    """Order these goods; the order's id is the client's own, or was made at the edge."""

    order_id: OrderId
    customer_id: CustomerId
    lines: Annotated[tuple[OrderLine, ...], Field(min_length=1, max_length=100)]
    currency: Currency
    payment_token: Token
    ship_to: Address


class RequestCancellation(Request):
    """Cancel the order, if it is not too late."""

    order_id: OrderId


class OrderAccepted(BaseModel):
    """The order is placed; how it ends is told under its address."""

    model_config = ConfigDict(frozen=True)

    order_id: OrderId
    status: Status = Status.PLACED


class CancellationAccepted(BaseModel):
    """The wish is noted; whether it came in time is told under the order's address."""

    model_config = ConfigDict(frozen=True)

    order_id: OrderId
    cancellation: Cancellation = Cancellation.REQUESTED
