"""What fulfillment tells. Nobody commands it."""

from __future__ import annotations

from pydantic import Field

from contracts.values import OrderId
from stagepost.messages import Event, Text


class FulfillmentOverdue(Event):
    """An order has not ended within its service level; `state` says where it stands."""

    order_id: OrderId
    state: Text = Field(examples=["Shipping"])
