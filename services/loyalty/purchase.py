"""A purchase: what makes an order count once, however often it is told of."""

from __future__ import annotations

from uuid import UUID

from stagepost.aggregate import Aggregate, FirstEvent, event, stream_id


class Purchase(Aggregate):
    """An order that ended well, and the points that it is worth."""

    TOPIC = "loyalty.Purchase"

    class Counted(FirstEvent):
        """The order was counted."""

        TOPIC = "loyalty.Purchase.Counted"
        order_id: str
        customer_id: str
        points: int

    @staticmethod
    def stream(order_id: str) -> str:
        return f"purchase/{order_id}"

    @staticmethod
    def create_id(order_id: str) -> UUID:
        return stream_id(Purchase.stream(order_id))

    @event(Counted)
    def __init__(self, *, order_id: str, customer_id: str, points: int) -> None:
        self.order_id = order_id
        self.customer_id = customer_id
        self.points = points
