"""What shipping has heard of an order where nobody commands it: what goes where, if it is here."""

from __future__ import annotations

from uuid import UUID

from contracts.values import Line
from stagepost.aggregate import Aggregate, DomainEvent, FirstEvent, event, stream_id


class HeardOrder(Aggregate):
    """An order as others have told of it, in whatever order they came."""

    TOPIC = "shipping.HeardOrder"

    class Begun(FirstEvent):
        """Somebody told of the order for the first time."""

        TOPIC = "shipping.HeardOrder.Begun"
        order_id: str

    class Placed(DomainEvent):
        """These goods are to go there."""

        TOPIC = "shipping.HeardOrder.Placed"
        lines: tuple[Line, ...]
        ship_to: str

    class Fetched(DomainEvent):
        """The goods are off the shelf."""

        TOPIC = "shipping.HeardOrder.Fetched"

    class Cancelled(DomainEvent):
        """The goods are to go nowhere; they were not fetched yet, as far as we know."""

        TOPIC = "shipping.HeardOrder.Cancelled"

    @staticmethod
    def stream(order_id: str) -> str:
        return f"heard/{order_id}"

    @staticmethod
    def create_id(order_id: str) -> UUID:
        return stream_id(HeardOrder.stream(order_id))

    @event(Begun)
    def __init__(self, *, order_id: str) -> None:
        self.order_id = order_id
        self.lines: tuple[Line, ...] = ()
        self.ship_to = ""
        self.is_fetched = False
        self.is_cancelled = False

    @event(Placed)
    def place(self, *, lines: tuple[Line, ...], ship_to: str) -> None:
        self.lines = lines
        self.ship_to = ship_to

    @event(Fetched)
    def fetch(self) -> None:
        self.is_fetched = True

    @event(Cancelled)
    def cancel(self) -> None:
        self.is_cancelled = True
