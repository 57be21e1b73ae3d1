"""What people ask of inventory over HTTP, and what they hear."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from contracts.values import Sku
from stagepost.messages import Request, Text


class DeclareSku(Request):
    """Deal in this SKU from now on; asking again changes nothing."""

    KEY = "sku"
    sku: Sku


class ReceiveStock(Request):
    """Put units on the shelf, or correct a count downwards."""

    KEY = "sku"
    sku: Sku
    quantity: int
    note: Text | None = None


class StockLevel(BaseModel):
    """How many units of a SKU there are, and where: received = on_hand + reserved + gone."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    sku: Sku
    received: int
    on_hand: int
    reserved: int
    gone: int


class Declaration(BaseModel):
    """A SKU's stock, and whether it is new here."""

    model_config = ConfigDict(frozen=True)

    is_new: bool
    stock: StockLevel
