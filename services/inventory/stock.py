"""The stock: units of one SKU on the shelf, held under somebody's name, or gone.

Received = on hand + reserved + gone, always.
"""

# ruff: noqa: ARG002  # an event may say more than the state needs

from __future__ import annotations

from typing import Any
from uuid import UUID

from stagepost.aggregate import Aggregate, DomainEvent, FirstEvent, event, stream_id


class Held(DomainEvent):
    """What happens to units that are held for somebody, who asked for them under this reference."""

    class_version = 2
    caller: str
    reference: str
    quantity: int

    @property
    def holder(self) -> str:
        return f"{self.caller}/{self.reference}"

    @staticmethod
    def upcast_v1_v2(state: dict[str, Any]) -> None:
        """Split what was one text: whoever asks has no slash in their name."""
        state["caller"], _, state["reference"] = state.pop("holder").partition("/")


class StockItem(Aggregate):
    """All units of one SKU, and how many of them are held for somebody, or gone."""

    TOPIC = "inventory.StockItem"
    SNAPSHOT_EVERY = 100  # every order that holds some of it adds two events, for ever

    class Declared(FirstEvent):
        """We deal in this SKU from now on; there is none of it yet."""

        TOPIC = "inventory.StockItem.Declared"
        sku: str

    class Received(DomainEvent):
        """Units came in; a negative quantity corrects a count that was too high."""

        TOPIC = "inventory.StockItem.Received"
        quantity: int
        note: str | None

    class Reserved(Held):
        """Units wait on the shelf under the holder's name."""

        TOPIC = "inventory.StockItem.Reserved"

    class Fetched(Held):
        """Reserved units were taken off the shelf: they are gone."""

        TOPIC = "inventory.StockItem.Fetched"

    class Released(Held):
        """Reserved units are anybody's again."""

        TOPIC = "inventory.StockItem.Released"

    class Returned(Held):
        """Fetched units are back on the shelf, anybody's again."""

        TOPIC = "inventory.StockItem.Returned"

    @staticmethod
    def stream(sku: str) -> str:
        return f"stock/{sku}"

    @staticmethod
    def create_id(sku: str) -> UUID:
        return stream_id(StockItem.stream(sku))

    @event(Declared)
    def __init__(self, *, sku: str) -> None:
        self.sku = sku
        self.on_hand = 0
        self.reserved = 0
        self.gone = 0

    @property
    def received(self) -> int:
        return self.on_hand + self.reserved + self.gone

    @event(Received)
    def receive(self, *, quantity: int, note: str | None) -> None:
        self.on_hand += quantity

    @event(Reserved)
    def reserve(self, *, caller: str, reference: str, quantity: int) -> None:
        self.on_hand -= quantity
        self.reserved += quantity

    @event(Fetched)
    def fetch(self, *, caller: str, reference: str, quantity: int) -> None:
        self.reserved -= quantity
        self.gone += quantity

    @event(Released)
    def release(self, *, caller: str, reference: str, quantity: int) -> None:
        self.reserved -= quantity
        self.on_hand += quantity

    @event(Returned)
    def take_back(self, *, caller: str, reference: str, quantity: int) -> None:
        self.gone -= quantity
        self.on_hand += quantity
