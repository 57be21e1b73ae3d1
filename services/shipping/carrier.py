"""What shipping asks the carrier, and what the carrier answers.

The carrier knows a parcel by our reference, `<caller>/<reference>`.
"""

from __future__ import annotations

from contracts.values import Line
from stagepost.messages import Call, CallAnswer, Text


class Dispatch(Call):
    """Take this parcel to that address."""

    TO = "carrier"
    PATH = "/parcels"
    LANE = "reference"
    ONCE = True
    order_id: str
    reference: str
    lines: tuple[Line, ...]
    ship_to: str


class Dispatched(CallAnswer):
    """The carrier took the parcel; or it did not, and the reason says why."""

    call: Dispatch
    accepted: bool
    tracking: Text | None = None
    reason: Text | None = None


Dispatch.ANSWER = Dispatched
