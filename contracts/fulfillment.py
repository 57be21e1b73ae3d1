"""What fulfillment tells. Nobody commands it."""

from __future__ import annotations

from contracts.values import OrderId
from stagepost.messages import Event, Text
from pydantic import Field


class FulfillmentOverdue(Event):
    """An order has not ended within its service level; `state` says where it stands."""

    order_id: OrderId
    state: Text = Field(examples=["Shipping"])
