"""The reservation: all goods of one (caller, reference), or none of them."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from stagepost.aggregate import Aggregate, DomainEvent, FirstEvent, event, stream_id


class Units(BaseModel):
    """So many of one SKU: the sum of an order's lines of it, so it may be more than one line's."""

    model_config = ConfigDict(frozen=True)

    sku: str
    quantity: int


class Status(StrEnum):
    """Where a reservation stands."""

    RESERVED = "reserved"
    REJECTED = "rejected"
    FETCHED = "fetched"
    RELEASED = "released"
    BARRED = "barred"


class Reservation(Aggregate):
    """What is held for one (caller, reference); `lines` has each SKU once."""

    TOPIC = "inventory.Reservation"

    class Made(FirstEvent):
        """All of the goods wait on the shelf."""

        TOPIC = "inventory.Reservation.Made"
        caller: str
        reference: str
        order_id: str
        lines: tuple[Units, ...]

    class Rejected(FirstEvent):
        """Not all of the goods are there, these are not. Nothing is held."""

        TOPIC = "inventory.Reservation.Rejected"
        class_version = 2
        caller: str
        reference: str
        order_id: str
        lines: tuple[Units, ...]
        reason: str
        missing: tuple[str, ...]

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            """Make a list of what was the first SKU that is missing."""
            state["missing"] = [state.pop("sku")]

        def apply(self, aggregate: Reservation) -> None:
            aggregate.status = Status.REJECTED
            aggregate.reason = self.reason

    class Barred(FirstEvent):
        """The goods were released before they were reserved: none will be held."""

        TOPIC = "inventory.Reservation.Barred"
        caller: str
        reference: str
        order_id: str

        def apply(self, aggregate: Reservation) -> None:
            aggregate.status = Status.BARRED

    class Fetched(DomainEvent):
        """The goods were taken off the shelf."""

        TOPIC = "inventory.Reservation.Fetched"

    class Released(DomainEvent):
        """What was reserved or fetched was put back."""

        TOPIC = "inventory.Reservation.Released"

    @staticmethod
    def stream(caller: str, reference: str) -> str:
        return f"reservation/{caller}/{reference}"

    @staticmethod
    def create_id(caller: str, reference: str) -> UUID:
        return stream_id(Reservation.stream(caller, reference))

    @event(Made)
    def __init__(
        self,
        *,
        caller: str,
        reference: str,
        order_id: str,
        lines: tuple[Units, ...] = (),
    ) -> None:
        self.caller = caller
        self.reference = reference
        self.order_id = order_id
        self.lines = lines
        self.reason = ""
        self.status = Status.RESERVED

    @classmethod
    def reject(
        cls,
        *,
        caller: str,
        reference: str,
        order_id: str,
        lines: tuple[Units, ...],
        reason: str,
        missing: tuple[str, ...],
    ) -> Self:
        """Say no for good: the same reference is not tried again."""
        return cls._create(
            cls.Rejected,
            caller=caller,
            reference=reference,
            order_id=order_id,
            lines=lines,
            reason=reason,
            missing=missing,
        )

    @classmethod
    def bar(cls, *, caller: str, reference: str, order_id: str) -> Self:
        """Begin with the end: whatever is asked for this reference later, nothing is held."""
        return cls._create(cls.Barred, caller=caller, reference=reference, order_id=order_id)

    @property
    def holder(self) -> dict[str, str]:
        """Under whose name the goods are held."""
        return {"caller": self.caller, "reference": self.reference}

    @event(Fetched)
    def fetch(self) -> None:
        self.status = Status.FETCHED

    @event(Released)
    def release(self) -> None:
        self.status = Status.RELEASED
