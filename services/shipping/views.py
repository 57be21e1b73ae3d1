"""What shipping shows: one row per parcel."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from services.shipping.parcel import Parcel, Status
from stagepost.aggregate import DomainEvent
from stagepost.view import Recorded, Row, View


class ParcelRow(Row):
    """A parcel; `units` is how many goods are in it, of all kinds."""

    stream: UUID
    id: str
    order_id: str
    caller: str
    reference: str
    status: Status
    tracking: str | None = None
    reason: str | None = None
    units: int
    requested_at: datetime
    changed_at: datetime


def key_of(happened: DomainEvent) -> str | None:
    return str(happened.originator_id) if happened.TOPIC.startswith(Parcel.TOPIC) else None


def fold(row: ParcelRow | None, recorded: Recorded) -> ParcelRow:
    """Bring a parcel's row up to date with one event."""
    if row is None:
        return _begin(recorded)
    return row.changed(**_change(recorded.event), changed_at=recorded.recorded_at)


def _begin(recorded: Recorded) -> ParcelRow:
    first = recorded.event
    assert isinstance(first, Parcel.Requested)
    return ParcelRow(
        stream=first.originator_id,
        id=f"{first.caller}/{first.reference}",
        order_id=first.order_id,
        caller=first.caller,
        reference=first.reference,
        status=Status.REQUESTED,
        units=sum(line.quantity for line in first.lines),
        requested_at=recorded.recorded_at,
        changed_at=recorded.recorded_at,
    )


def _change(happened: DomainEvent) -> dict[str, object]:
    match happened:
        case Parcel.Shipped():
            return {"status": Status.SHIPPED, "tracking": happened.tracking}
        case Parcel.Refused():
            return {"status": Status.REFUSED, "reason": happened.reason}
        case _:
            return {}


VIEWS = (View(name="parcels", row=ParcelRow, key="stream", key_of=key_of, fold=fold),)
