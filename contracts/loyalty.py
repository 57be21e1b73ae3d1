"""What loyalty tells. Nobody commands it, and nobody upstream knows that it listens."""

from __future__ import annotations

from pydantic import Field

from contracts.values import MAX_AMOUNT, CustomerId, Points
from stagepost.messages import MAX_BIGINT, Event


class PointsAwarded(Event):
    """A customer has earned points; `balance` is what there are now."""

    KEY = "customer_id"
    customer_id: CustomerId
    points: Points = Field(le=MAX_AMOUNT, examples=[25])
    balance: Points = Field(le=MAX_BIGINT, examples=[125])
