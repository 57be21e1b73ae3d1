"""What inventory has heard of an order where nobody commands it: what is wanted, if it is paid."""

from __future__ import annotations

from uuid import UUID

from contracts.values import Line
from stagepost.aggregate import Aggregate, DomainEvent, FirstEvent, event, stream_id


class HeardOrder(Aggregate):
    """An order as others have told of it, in whatever order they came."""

    TOPIC = "inventory.HeardOrder"

    class Begun(FirstEvent):
        """Somebody told of the order for the first time."""

        TOPIC = "inventory.HeardOrder.Begun"
        order_id: str

    class Placed(DomainEvent):
        """These goods are wanted."""

        TOPIC = "inventory.HeardOrder.Placed"
        lines: tuple[Line, ...]

    class Paid(DomainEvent):
        """The money is there."""

        TOPIC = "inventory.HeardOrder.Paid"

    class Cancelled(DomainEvent):
        """The goods are wanted no more; they were not paid yet, as far as we know."""

        TOPIC = "inventory.HeardOrder.Cancelled"

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
        self.is_paid = False
        self.is_cancelled = False

    @event(Placed)
    def place(self, *, lines: tuple[Line, ...]) -> None:
        self.lines = lines

    @event(Paid)
    def pay(self) -> None:
        self.is_paid = True

    @event(Cancelled)
    def cancel(self) -> None:
        self.is_cancelled = True
