"""The parcel: handed to the carrier once for (caller, reference); it leaves, or it stays."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from contracts.values import Line
from stagepost.aggregate import Aggregate, DomainEvent, FirstEvent, event, stream_id


class Status(StrEnum):
    """Where a parcel stands."""

    REQUESTED = "requested"
    SHIPPED = "shipped"
    REFUSED = "refused"


class Parcel(Aggregate):
    """What became of the goods for one (caller, reference)."""

    TOPIC = "shipping.Parcel"

    class Requested(FirstEvent):
        """A caller wants these goods sent; the carrier is asked to take them."""

        TOPIC = "shipping.Parcel.Requested"
        caller: str
        reference: str
        order_id: str
        lines: tuple[Line, ...]
        ship_to: str

    class Shipped(DomainEvent):
        """The carrier took the parcel: it cannot be called back."""

        TOPIC = "shipping.Parcel.Shipped"
        tracking: str

    class Refused(DomainEvent):
        """The carrier will not take the parcel; the goods are still here."""

        TOPIC = "shipping.Parcel.Refused"
        reason: str

    @staticmethod
    def stream(caller: str, reference: str) -> str:
        return f"parcel/{caller}/{reference}"

    @staticmethod
    def create_id(caller: str, reference: str) -> UUID:
        return stream_id(Parcel.stream(caller, reference))

    @event(Requested)
    def __init__(
        self, *, caller: str, reference: str, order_id: str, lines: tuple[Line, ...], ship_to: str
    ) -> None:
        self.caller = caller
        self.reference = reference
        self.order_id = order_id
        self.lines = lines
        self.ship_to = ship_to
        self.status = Status.REQUESTED
        self.tracking = ""
        self.reason = ""

    @event(Shipped)
    def ship(self, *, tracking: str) -> None:
        self.status = Status.SHIPPED
        self.tracking = tracking

    @event(Refused)
    def refuse(self, *, reason: str) -> None:
        self.status = Status.REFUSED
        self.reason = reason
