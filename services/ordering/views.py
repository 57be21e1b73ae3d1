"""What ordering shows: one row per order."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from services.ordering.order import Cancellation, Order, Status
from stagepost.aggregate import DomainEvent
from stagepost.view import Recorded, Row, View


class OrderRow(Row):
    """An order; `position` is where its first event stands in the log: the order of placing."""

    stream: UUID
    order_id: str
    customer_id: str
    status: Status = Status.PLACED
    reason: str | None = None
    cancellation: Cancellation = Cancellation.NONE
    amount: int
    currency: str
    position: int
    placed_at: datetime
    ended_at: datetime | None = None


def key_of(happened: DomainEvent) -> str | None:
    return str(happened.originator_id)


def fold(row: OrderRow | None, recorded: Recorded) -> OrderRow:
    """Bring an order's row up to date with one event."""
    if row is None:
        return _begin(recorded)
    return row.changed(**_change(row, recorded))


def _begin(recorded: Recorded) -> OrderRow:
    placed = recorded.event
    assert isinstance(placed, Order.Placed)
    return OrderRow(
        stream=placed.originator_id,
        order_id=placed.order_id,
        customer_id=placed.customer_id,
        amount=placed.amount,
        currency=placed.currency,
        position=recorded.position,
        placed_at=recorded.recorded_at,
    )


def _change(row: OrderRow, recorded: Recorded) -> dict[str, object]:
    match recorded.event:
        case Order.CancellationRequested():
            return {"cancellation": Cancellation.REQUESTED}
        case Order.Confirmed(cancellation_too_late=too_late):
            cancellation = Cancellation.TOO_LATE if too_late else row.cancellation
            return {
                "status": Status.CONFIRMED,
                "cancellation": cancellation,
                "ended_at": recorded.recorded_at,
            }
        case Order.Rejected(reason=reason):
            requested = row.cancellation is Cancellation.REQUESTED
            return {
                "status": Status.REJECTED,
                "reason": reason,
                "cancellation": Cancellation.DONE if requested else row.cancellation,
                "ended_at": recorded.recorded_at,
            }
        case _:
            return {}


VIEWS = (View(name="orders", row=OrderRow, key="stream", key_of=key_of, fold=fold),)
