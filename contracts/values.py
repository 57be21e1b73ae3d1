"""Values that the contracts share: money in minor units, lines, addresses."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from stagepost.messages import Id, Text

OrderId = Annotated[Id, Field(examples=["10248"], description="The order's public id.")]
CustomerId = Annotated[Id, Field(examples=["VINET"], description="The customer's public id.")]
Sku = Annotated[Id, Field(examples=["red-chair"], description="A stock keeping unit.")]

MAX_QUANTITY = 1_000_000
MAX_AMOUNT = 10**15

Quantity = Annotated[
    int,
    Field(ge=1, le=MAX_QUANTITY, examples=[2], description="Pieces, 1 to a million."),
    Field(json_schema_extra={"x-unit": "piece"}),
]
Amount = Annotated[
    int,
    Field(ge=0, le=MAX_AMOUNT, examples=[2598], description="Money in minor units (cents)."),
    Field(json_schema_extra={"x-unit": "minor unit of the currency"}),
]
Points = Annotated[int, Field(ge=1, json_schema_extra={"x-unit": "point"})]
Currency = Annotated[
    str, StringConstraints(pattern=r"^[A-Z]{3}$"), Field(examples=["EUR"], description="ISO 4217.")
]
Token = Annotated[
    Text, Field(examples=["tok_ok"], description="What the payment provider knows the card by.")
]
Address = Annotated[
    Text, Field(examples=["1 Station Road, Reims"], description="Where the parcel goes.")
]
Reason = Annotated[Text, Field(examples=["out of stock"], description="Why, for a person.")]


def because(what: str, said: str) -> Reason:
    """Say what was refused, in the 200 characters that a reason can have."""
    return f"{what}: {said}"[:200]


class Line(BaseModel):
    """So many of one thing."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sku: Sku
    quantity: Quantity


Lines = Annotated[
    tuple[Line, ...],
    Field(min_length=1, max_length=100, examples=[[{"sku": "red-chair", "quantity": 2}]]),
]
