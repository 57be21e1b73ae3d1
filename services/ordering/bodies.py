"""What travels in the bodies of ordering's HTTP API."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from contracts.values import Address, Currency, CustomerId, OrderId, Quantity, Sku, Token
from services.ordering.order import MAX_UNIT_PRICE, Cancellation, OrderLine, Status
from services.ordering.requests import PlaceOrder

EXACT_PRICE = r"^[0-9]{1,12}(\.[0-9]{1,6})?$"


def read_price(price: object) -> Decimal:
    """Read a price that came as JSON: with the decimals it needs, six at most, and no exponent."""
    as_text = isinstance(price, str) and re.fullmatch(EXACT_PRICE, price)
    # A bool is an int in Python, not in JSON.
    as_number = type(price) in (int, float) and 0 <= price <= MAX_UNIT_PRICE  # type: ignore[operator]
    if not (as_text or as_number):
        raise PydanticCustomError(
            "unit_price",
            "Input should be a number from 0 to {most}, or a string such as 1260.5, "
            "with up to six decimals",
            {"most": MAX_UNIT_PRICE},
        )
    return Decimal(f"{Decimal(str(price)):.6f}".rstrip("0").rstrip("."))


Price = Annotated[
    Decimal,
    BeforeValidator(read_price),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": MAX_UNIT_PRICE},
                {"type": "string", "pattern": EXACT_PRICE},
            ]
        }
    ),
    Field(
        description="Minor units (cents) for one unit, with up to six decimals; exact as a string; "
        "the line's amount is rounded half-even to a whole minor unit.",
        examples=["1299"],
    ),
]


class NewLine(BaseModel):
    """So many of one thing, at this price each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sku: Sku
    quantity: Quantity
    unit_price: Price


class NewOrder(BaseModel):
    """What a customer orders."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    order_id: OrderId | None = Field(
        default=None,
        description="The client's own id; one that sorts by time is made where none is given.",
    )
    customer_id: CustomerId
    lines: Annotated[list[NewLine], Field(min_length=1, max_length=100)]
    currency: Currency
    payment_token: Token
    ship_to: Address

    def as_request(self, new_id: str) -> PlaceOrder:
        """Make the request of it; `new_id` is for an order whose client gives none."""
        return PlaceOrder(
            order_id=self.order_id or new_id,
            customer_id=self.customer_id,
            lines=tuple(
                OrderLine(sku=line.sku, quantity=line.quantity, unit_price=line.unit_price)
                for line in self.lines
            ),
            currency=self.currency,
            payment_token=self.payment_token,
            ship_to=self.ship_to,
        )


class LineState(BaseModel):
    """A line of an order, with what it costs."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    sku: Sku
    quantity: int
    unit_price: Decimal
    amount: int


class OrderState(BaseModel):
    """An order, as it stands now."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    order_id: OrderId
    customer_id: CustomerId
    status: Status
    reason: str | None
    cancellation: Cancellation
    amount: int
    currency: Currency
    lines: tuple[LineState, ...]
    ship_to: Address
