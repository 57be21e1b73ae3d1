"""What shipping can be asked, and what it tells."""

from __future__ import annotations

from pydantic import Field

from contracts.values import Address, Lines, OrderId
from stagepost.messages import Answer, Command, Refusal, Text


class ShipGoods(Command):
    """Hand the goods to the carrier."""

    order_id: OrderId
    lines: Lines
    ship_to: Address


class GoodsShipped(Answer, to=ShipGoods):
    """The parcel left the house: the point of no return."""

    order_id: OrderId
    tracking: Text = Field(examples=["trk-10248"])


class ShipmentRefused(Refusal, to=ShipGoods):
    """The carrier will not take the parcel; the goods are still here."""

    order_id: OrderId
