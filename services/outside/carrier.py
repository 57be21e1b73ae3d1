"""The carrier's rules: one parcel leaves per reference, under however many keys that is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.outside.behaviour import of_address
from services.outside.entry import Asked, Entry, ShortText, next_number

Kind = Literal["dispatched", "repeated", "refused"]


class Line(BaseModel):
    """So many of one thing in the parcel."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sku: ShortText
    quantity: int = Field(ge=1, le=10**9)


Lines = tuple[Line, ...]


class Dispatch(Asked):
    """Take this parcel to that address."""

    lines: Annotated[Lines, Field(strict=False, min_length=1, max_length=1000)]
    ship_to: ShortText


class Dispatched(BaseModel):
    """The answer to `Dispatch`."""

    accepted: bool
    tracking: str | None = None
    reason: str | None = None


class ParcelEntry(Entry):
    """A line of the carrier's ledger; `lines` and `units` are what left: nothing if it did not."""

    kind: Kind
    lines: Lines = ()
    units: int = 0


def dispatch(asked: Dispatch, key: str, past: Sequence[ParcelEntry]) -> ParcelEntry:
    """Take the parcel, unless the address refuses it or another left under the reference."""
    if gone := next((entry for entry in past if entry.kind == "dispatched"), None):
        if gone.lines == asked.lines:
            return _entry(asked, key, past, "repeated", answer=gone.answer)
        return _entry(asked, key, past, "refused", answer=_refused("another parcel left already"))
    if of_address(asked.ship_to).refuses:
        return _entry(asked, key, past, "refused", answer=_refused("the address takes no parcels"))
    answer = Dispatched(accepted=True, tracking=f"trk_{key}").model_dump_json()
    return _entry(asked, key, past, "dispatched", answer=answer, lines=asked.lines)


def _refused(reason: str) -> str:
    return Dispatched(accepted=False, reason=reason).model_dump_json()


def _entry(
    asked: Dispatch,
    key: str,
    past: Sequence[ParcelEntry],
    kind: Kind,
    *,
    answer: str,
    lines: Lines = (),
) -> ParcelEntry:
    return ParcelEntry(
        idempotency_key=key,
        reference=asked.reference,
        number=next_number(past),
        order_id=asked.order_id,
        kind=kind,
        answer=answer,
        lines=lines,
        units=sum(line.quantity for line in lines),
    )
